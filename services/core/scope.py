"""Scopes: which spending is counted together, written `org:acme/project:search/team:ranking`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from urllib.parse import quote, unquote

HIERARCHY = ("org", "project", "team", "user")
TAG = "tag."
"""What the name of a tag's dimension begins with: `tag.feature`."""

_RANK = {name: f"{rank}" for rank, name in enumerate(HIERARCHY)}
_NAMES = {*HIERARCHY, "provider", "model"}
_ENCODED = re.compile(r"(?:[^%/:@]|%[0-9A-Fa-f]{2})*")


class ScopeError(ValueError):
    """Dimensions or a text that name no scope; the message says which part and why."""


class Level(StrEnum):
    """The four scopes that always count, and BUDGET for every other one."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    TEAM = "team"
    USER = "user"
    BUDGET = "budget"


_LEVELS = {
    frozenset(("org",)): Level.ORGANIZATION,
    frozenset(("org", "project")): Level.PROJECT,
    frozenset(("org", "project", "team")): Level.TEAM,
    frozenset(("org", "user")): Level.USER,
}


def scope_key(dimensions: Mapping[str, str]) -> str:
    """The one text of a set of dimensions: organization, project, team, user, then the others by name.

    Names are `org project team user provider model` and `tag.<key>`. Keys and values are percent-encoded (RFC 3986:
    all but unreserved characters), so `/`, `:` and `@` only ever separate. Raises ScopeError when there are no
    dimensions, one is unknown or its value is empty (a tag's may be), or a text is not valid Unicode.
    """
    if not dimensions:
        raise ScopeError("a scope needs at least one dimension")
    return "/".join([_part(name, dimensions[name]) for name in sorted(dimensions, key=_order)])


def parse_scope(text: str) -> dict[str, str]:
    """The dimensions of a scope's text, in canonical order; the inverse of `scope_key`.

    Takes the dimensions in any order, as people type them. Raises ScopeError for everything that `scope_key` refuses,
    for a dimension named twice, and for a raw `:` or `@` in a value.
    """
    dimensions: dict[str, str] = {}
    for part in text.split("/"):
        name, separator, value = part.partition(":")
        if not separator:
            raise ScopeError(f"{part[:80]!r} is not a dimension: write name:value, as in org:acme/project:search")
        name, value = _decode(name), _decode(value)
        if name in dimensions:
            raise ScopeError(f"{name[:80]!r} is named twice")
        _check(name, value)
        dimensions[name] = value
    return {name: dimensions[name] for name in sorted(dimensions, key=_order)}


def level_of(scope: str | Iterable[str]) -> Level:
    """The level of a scope, given its text or the names of its dimensions."""
    names = [part.partition(":")[0] for part in scope.split("/")] if isinstance(scope, str) else scope
    return _LEVELS.get(frozenset(names), Level.BUDGET)


def _order(name: str) -> str:
    return _RANK.get(name, name)


def _part(name: str, value: str) -> str:
    _check(name, value)
    try:
        return f"{quote(name, safe='')}:{quote(value, safe='')}"
    except UnicodeEncodeError as error:
        raise ScopeError(f"the value of {name[:80]!r} is not valid Unicode") from error


def _check(name: str, value: str) -> None:
    if name in _NAMES:
        if not value:
            raise ScopeError(f"{name!r} has no value")
    elif not name.startswith(TAG) or name == TAG:
        known = ", ".join([*HIERARCHY, "provider", "model", "tag.<key>"])
        raise ScopeError(f"{name[:80]!r} is not a dimension: use one of {known}")


def _decode(text: str) -> str:
    if not _ENCODED.fullmatch(text):
        raise ScopeError(f"{text[:80]!r} must be percent-encoded: write %2F for /, %3A for :, %40 for @, %25 for %")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ScopeError(f"{text[:80]!r} does not decode to UTF-8") from error
