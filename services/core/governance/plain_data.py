"""Reports as JSON data: the dataclasses themselves, money as decimal dollars and instants as ISO 8601."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any

import msgspec

from services.core.events import iso
from services.core.money import format_usd

VERSION = 1
"""Grows when a field of a report changes its meaning or goes away; new ones may come at any time."""


def plain_data(report: Any, kind: str) -> dict[str, Any]:
    """A report as a JSON object. Names that end in `_nanousd` end in `_usd` here, and those in `_ms` in nothing."""
    return {"report": kind, "version": VERSION, **_object(report)}


def _object(value: Any) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else value.__struct_fields__
    computed = [name for name, kind in vars(type(value)).items() if isinstance(kind, property)]
    return dict(_field(name, getattr(value, name)) for name in [*names, *computed] if not name.startswith("_"))


def _field(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_nanousd"):
        return f"{name.removesuffix('_nanousd')}_usd", None if value is None else format_usd(value)
    if name.endswith("_ms"):
        return name.removesuffix("_ms"), iso(value)
    return name, _value(value)


def _value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        return _object(value)
    if isinstance(value, tuple | list):
        return [_value(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    return value
