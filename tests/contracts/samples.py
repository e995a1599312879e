"""The committed examples, valid and invalid, as test parameters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.catalog import CATALOG

SCHEMAS = Path(__file__).parents[2] / "schemas"
EXAMPLES, INVALID = SCHEMAS / "examples", SCHEMAS / "invalid"
POLICY = "spendgate.policy.v1"

Json = dict[str, Any]


class InvalidSample(NamedTuple):
    """An event to refuse, where and why. `wire`: whether the struct refuses it too; None where there is no struct."""

    field: str
    reason: str
    event: Json
    wire: str | None = None


def read_json(path: Path) -> Json:
    """One file."""
    content: Json = json.loads(path.read_text("utf-8"))
    return content


def valid_events() -> list[Any]:
    """Each valid example: type name and event."""
    return [
        pytest.param(name, read_json(path), id=f"{name}-{path.stem}")
        for name in CATALOG
        for path in sorted((EXAMPLES / name).glob("*.json"))
    ]


def invalid_events() -> list[Any]:
    """Each invalid example: type name and what is expected."""
    return [
        pytest.param(name, InvalidSample(**read_json(path)), id=f"{name}-{path.stem}")
        for name in CATALOG
        for path in sorted((INVALID / name).glob("*.json"))
    ]


def policies(directory: Path) -> list[Any]:
    """Each policy document of a directory, as text."""
    return [pytest.param(path.read_text("utf-8"), id=path.stem) for path in sorted((directory / POLICY).glob("*.yaml"))]
