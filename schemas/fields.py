"""The bounded field types that events and policies share: every text, count, amount and instant has a limit."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

# Control characters break logs and terminals; line separators and direction marks make one name look like another.
# Written so that Rust, Python and ECMAScript read it alike.
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+$"
PRINTABLE_OR_EMPTY = PRINTABLE.replace("+$", "*$")
DIMENSION = r"^(project|team|user|provider|model|tag\.[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,256})$"
IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
DECIMAL_USD = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
AMOUNT_USD = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?$"
COST_USD = r"^[0-9]{1,6}(\.[0-9]{1,9})?$"
DURATION = r"^[1-9][0-9]{0,6}[smhd]$"
RULE_WHEN = (
    r"^(utilization >=? [0-9]{1,2}(\.[0-9]{1,4})?|pace >=? [0-9]{1,2}(\.[0-9]{1,4})?"
    r"|forecast >=? (limit|[0-9]{1,2}(\.[0-9]{1,4})?))$"
)
SLUG = r"^[a-z][a-z0-9_]*$"
# Calendar arithmetic must not run out of years, and a sensor with a dead battery reports 1970.
INSTANT = r"^2[01][0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"

MS_PER_UNIT = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_MS_MAX = 31 * MS_PER_UNIT["d"]
BASIS_POINTS = 10_000
NANOUSD_MAX = 2**63 - 1


def duration_ms(text: str) -> int:
    """The milliseconds of a `Duration` such as "30m"."""
    return int(text[:-1]) * MS_PER_UNIT[text[-1]]


def basis_points(fraction: Decimal) -> int:
    """A fraction as exact ten-thousandths: 0.75 is 7500. Raises ValueError beyond four decimals."""
    points = fraction * BASIS_POINTS
    if points != points.to_integral_value():
        raise ValueError(f"{fraction} has more than four decimals")
    return int(points)


def _usd_text(value: object) -> object:
    if isinstance(value, float):
        raise PydanticCustomError("usd_float", 'a JSON number loses cents: write dollars as a string, such as "12.50"')
    return str(value) if type(value) is int else value


def _bounded_duration(text: object) -> object:
    if isinstance(text, str) and re.fullmatch(DURATION, text) and duration_ms(text) > DURATION_MS_MAX:
        raise PydanticCustomError("duration_too_long", "a duration is at most 31d")
    return text


DAY = r"^2[01][0-9]{2}-[0-9]{2}-[0-9]{2}$"
_DAY = re.compile(DAY)


def _day(value: object) -> object:
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError("day", "is a calendar day, such as 2026-11-24, in the years 2000 to 2199")


_INSTANT = re.compile(INSTANT)


def _instant(value: object) -> object:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _INSTANT.fullmatch(value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError(
        "instant", "is an RFC 3339 instant with an offset, such as 2026-11-24T13:05:00Z, in the years 2000 to 2199"
    )


Name = Annotated[str, Field(min_length=1, max_length=256, pattern=PRINTABLE)]
"""What an organization, project, team, user, model, provider or id is called."""

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=IDENTIFIER)]
"""A name that also has to fit into ids, labels and file names: letters, digits, dot, underscore, hyphen."""

_UsdInput = Annotated[str, Field(pattern=DECIMAL_USD)] | Annotated[int, Field(ge=0, lt=1_000_000_000)]
Usd = Annotated[str, BeforeValidator(_usd_text, json_schema_input_type=_UsdInput), Field(pattern=DECIMAL_USD)]
"""Dollars as a decimal string, below one billion, with at most nine decimals (a nano-dollar)."""

Duration = Annotated[str, BeforeValidator(_bounded_duration), Field(pattern=DURATION)]
"""A whole number and a unit: `90s`, `30m`, `2h`, `7d`; at most 31 days."""

Text = Annotated[str, Field(max_length=2048, pattern=PRINTABLE_OR_EMPTY)]
"""What a person says, in one line."""

Slug = Annotated[str, Field(min_length=1, max_length=64, pattern=SLUG)]
"""A reason with a name: lower-case words and underscores."""

Tokens = Annotated[int, Field(ge=0, le=100_000_000)]
"""A count of tokens of one request."""

Tags = Annotated[dict[Name, Annotated[str, Field(max_length=512, pattern=PRINTABLE_OR_EMPTY)]], Field(max_length=64)]
"""Free labels; budgets and reports name them as `tag.<key>`."""

Instant = Annotated[
    datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time", "pattern": INSTANT})
]
"""A moment with its offset from UTC. Nanoseconds are read, microseconds are kept."""

Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date", "pattern": DAY})]
"""A day of an organization's calendar."""

InstantMs = Annotated[int, Field(ge=0, lt=7_258_118_400_000)]
"""A moment in UTC milliseconds since 1970, before the year 2200."""

Amount = Annotated[str, Field(pattern=AMOUNT_USD)]
"""Dollars that Spendgate computed: as `Usd`, but it may be negative and larger."""

Nanousd = Annotated[int, Field(ge=-NANOUSD_MAX, le=NANOUSD_MAX)]
"""Nano-dollars, signed: a correction may be negative."""

Count = Annotated[int, Field(ge=0, le=2**53)]
"""A position, a version or a running number."""
