"""The OpenAPI document of the console: the paths of all its parts in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.adapters.openapi import document

DESCRIPTION = """Shows what is spent, what is left, what is expected and why requests were refused.

Every answer is about the organizations that the key covers. Browsers sign in with a key once and read the same paths.
"""
REPORTS = "reports"


def openapi(paths: Mapping[str, Any]) -> dict[str, Any]:
    """The whole document."""
    return document(title="Spendgate console", description=DESCRIPTION, paths=paths)


def reports_of(paths: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    """The reports among documented paths, for the page that links to them: address patterns, titles, descriptions."""
    return [
        {"path": path, "title": item["get"]["summary"], "says": item["get"].get("description", "")}
        for path, item in paths.items()
        if "get" in item and REPORTS in item["get"].get("tags", ())
    ]
