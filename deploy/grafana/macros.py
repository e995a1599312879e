"""What Grafana and its ClickHouse plugin make of a query before the database sees it, for tests and benches.

The rules are those of the plugin's `pkg/macros` (4.x) and of `customqueryparam` in Grafana's format registry. The
plugin has had two parsers: up to 4.18 arguments are whatever the next parentheses hold, however far away, and are split
at every comma; from 4.19 they follow the name at once, and a macro within a macro's arguments may stay as it is. What
both read alike is allowed here, everything else is refused, so a query that passes works with either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

ALL_CHOSEN = "all"
"""What a variable's "All" is replaced with: no encoded value looks like it, they all begin with `v=`."""
_TOKEN = re.compile(r"\$__(\w+)")
_VARIABLE = re.compile(r"\$\{(\w+):customqueryparam:v\}")
_BRACKET = re.compile(r"[()]")
_BARE = ("fromTime", "toTime", "interval_s")


class MacroError(ValueError):
    """A query that Grafana would not expand, or not always as its author thinks; the message says where."""


@dataclass(frozen=True, slots=True)
class Picked:
    """What a viewer has picked: a stretch of time, the points that fit the screen, and values of the variables.

    A variable has one value, several, or `None` for all.
    """

    from_s: int
    to_s: int
    interval_s: int = 3600
    values: Mapping[str, str | Sequence[str] | None] = field(default_factory=dict)


def expand(text: str, picked: Picked) -> str:
    """The text that reaches ClickHouse. Raises MacroError."""
    text = _VARIABLE.sub(lambda found: _encoded(found[1], picked), text)
    pieces: list[str] = []
    place = 0
    while found := _TOKEN.search(text, place):
        pieces.append(text[place : found.start()])
        name, after = found[1], found.end()
        if name in _BARE:
            _check_bare(text, found)
            pieces.append(_bare(name, picked))
            place = after
        else:
            if text[after : after + 1] != "(":
                raise MacroError(f"${found[0][1:]} takes a column in parentheses: {_near(text, found)}")
            end = after + closing(text[after:])
            pieces.append(_with_column(name, text[after + 1 : end].strip(), picked))
            place = end + 1
    expanded = "".join([*pieces, text[place:]])
    if left := re.search(r"\$\{?\w+|@\w+\(", expanded):
        raise MacroError(f"nothing replaces {left[0]!r}: {expanded[max(0, left.start() - 40) : left.end() + 20]!r}")
    return expanded


def closing(text: str) -> int:
    """Where the parenthesis ends that opens a text. Raises MacroError."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] == "(" else -1
        if depth == 0:
            return found.start()
    raise MacroError(f"a parenthesis does not end: {text[:60]!r}")


def _bare(name: str, picked: Picked) -> str:
    if name == "interval_s":
        return str(max(picked.interval_s, 1))
    return f"toDateTime({picked.from_s if name == 'fromTime' else picked.to_s})"


def _with_column(name: str, column: str, picked: Picked) -> str:
    if not re.fullmatch(r"\w+", column):
        raise MacroError(f"$__{name}({column}): the argument must be the name of a column, no expression")
    if name == "timeFilter":
        return f"{column} >= toDateTime({picked.from_s}) AND {column} <= toDateTime({picked.to_s})"
    if name == "timeInterval":
        return f"toStartOfInterval(toDateTime({column}), INTERVAL {max(picked.interval_s, 1)} second)"
    raise MacroError(f"$__{name} is not among the macros that our panels use")


def _check_bare(text: str, found: re.Match[str]) -> None:
    """The older parser takes the next parentheses for arguments, unless the next bracket closes some."""
    bracket = _BRACKET.search(text, found.end())
    if bracket is None or bracket[0] != ")":
        raise MacroError(f"put {found[0]} last inside parentheses: {_near(text, found)}")


def _near(text: str, found: re.Match[str]) -> str:
    return repr(text[max(0, found.start() - 30) : found.end() + 30])


def _encoded(variable: str, picked: Picked) -> str:
    if variable not in picked.values:
        raise MacroError(f"no variable is named {variable!r}")
    value = picked.values[variable]
    if value is None:
        return ALL_CHOSEN
    several = [value] if isinstance(value, str) else value
    return "&".join("v=" + quote(each, safe="") for each in several)
