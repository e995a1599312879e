"""What can be asked about spending, and what the answer looks like: dimensions, filters, rows, totals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from services.core.period import Period
from services.core.window import WindowKind

TAG: Final = "tag."
FEATURE_TAG: Final = "feature"
TOP_MAX: Final = 10_000
"""So many names at most get a row of their own; the others are in the rest."""
FILTERS_MAX: Final = 100
TEXT_MAX: Final = 512


class QuestionError(ValueError):
    """Something that cannot be asked about spending; the message says what can."""


class By(StrEnum):
    """What spending is grouped by. Spending has a tag's value by `TAG`; `TOKEN_CLASS` splits it by class of token."""

    PROJECT = "project"
    TEAM = "team"
    USER = "user"
    MODEL = "model"
    PROVIDER = "provider"
    STATUS = "status"
    TAG = "tag"
    TOKEN_CLASS = "token_class"  # noqa: S105 - of a language model
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


NAMED: Final = (By.PROJECT, By.TEAM, By.USER, By.PROVIDER, By.MODEL, By.STATUS)
OVER_TIME: Final = {
    By.HOUR: WindowKind.HOUR,
    By.DAY: WindowKind.DAY,
    By.WEEK: WindowKind.WEEK,
    By.MONTH: WindowKind.MONTH,
}
CHOICES: Final = "project, team, user, feature, tag.NAME, model, provider, status, token_class, hour, day, week, month"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way of grouping; `tag` names the tag of `By.TAG`."""

    by: By
    tag: str = ""

    def __str__(self) -> str:
        if self.by is not By.TAG:
            return str(self.by)
        return FEATURE_TAG if self.tag == FEATURE_TAG else TAG + self.tag

    @property
    def over_time(self) -> WindowKind | None:
        """The window of each row, if rows are windows."""
        return OVER_TIME.get(self.by)


FEATURE: Final = Dimension(By.TAG, FEATURE_TAG)


@dataclass(frozen=True, slots=True)
class Filter:
    """Only charges that have one of these values; the empty value is what has none. Several filters must all match."""

    dimension: Dimension
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """A question. `compare`: an earlier period, over when `period` begins; see `period.previous_so_far`."""

    organization: str
    by: Dimension
    period: Period
    filters: tuple[Filter, ...] = ()
    top: int = TOP_MAX
    compare: Period | None = None

    def __post_init__(self) -> None:
        if len({each.dimension for each in self.filters}) < len(self.filters):
            raise QuestionError("each dimension has one filter, of all values that are wanted")
        if not 1 <= self.top <= TOP_MAX:
            raise QuestionError(f"top must be from 1 to {TOP_MAX}")
        if self.compare is not None and self.compare.end_ms > self.period.start_ms:
            raise QuestionError("the period to compare with must be over when the other begins")


class SpendRow(Struct, frozen=True, kw_only=True):
    """Spending under one name. The empty name is what has none: no project, no user, no such tag.

    `parent` is a team's project. `unpriced` requests are not in `cost_nanousd`: the true sum is at least that;
    `unconfirmed_nanousd` is part of it: estimates that no settlement has replaced yet. Cached tokens are part of input
    tokens and reasoning tokens of output tokens, but for a row of a token class, which has its own tokens alone.
    `previous_*` are of the period that is compared with, None without one. `names` of them are in the row: 1, but for
    the rest and the total. `start_ms` is when a row's window begins.
    """

    name: str = ""
    parent: str = ""
    names: int = 1
    cost_nanousd: int = 0
    requests: int = 0
    errors: int = 0
    unpriced: int = 0
    unconfirmed_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    previous_nanousd: int | None = None
    previous_requests: int | None = None
    previous_unpriced: int | None = None
    start_ms: int | None = None


MEASURES: Final = SpendRow.__struct_fields__[3:13]
PREVIOUS: Final = SpendRow.__struct_fields__[13:16]


@dataclass(frozen=True, slots=True)
class Spending:
    """An answer. Rows, the rest (None if there is none) and nothing else add up to the total, to the nano-dollar.

    Names come the largest first, windows in order of time.
    """

    query: SpendQuery
    rows: tuple[SpendRow, ...]
    rest: SpendRow | None
    total: SpendRow


def spending(query: SpendQuery, rows: Iterable[SpendRow], rest: SpendRow | None = None) -> Spending:
    """The answer that these rows make."""
    found = tuple(rows)
    everything = found if rest is None else (*found, rest)
    compared = PREVIOUS if query.compare is not None else ()
    sums: dict[str, Any] = {
        name: sum(getattr(row, name) or 0 for row in everything) for name in ("names", *MEASURES, *compared)
    }
    return Spending(query, found, rest, SpendRow(**sums))


def without_comparison(row: SpendRow) -> SpendRow:
    """The row of a question that compares nothing."""
    return replace(row, previous_nanousd=None, previous_requests=None, previous_unpriced=None)


def parse_dimension(text: str) -> Dimension:
    """`project`, `tag.cost-center`, `day` ...; `feature` is the tag of that name. Raises QuestionError."""
    if text == FEATURE_TAG:
        return FEATURE
    if text.startswith(TAG):
        tag = unquote(text.removeprefix(TAG))
        if not 1 <= len(tag) <= TEXT_MAX:
            raise QuestionError("a tag's name has 1 to 512 characters: write tag.NAME")
        return Dimension(By.TAG, tag)
    if text in (By.TAG, *By) and text != By.TAG:
        return Dimension(By(text))
    raise QuestionError(f"{text[:80]!r} is nothing to group by: use one of {CHOICES}")


def parse_filters(texts: Iterable[str]) -> tuple[Filter, ...]:
    """`user:alice`, `tag.feature:search`, `project:` (without one): any of the values of each dimension named.

    A colon in a tag's name is written %3A; values are taken as they are. Raises QuestionError.
    """
    values: dict[Dimension, list[str]] = {}
    for count, text in enumerate(texts, 1):
        if count > FILTERS_MAX:
            raise QuestionError(f"more than {FILTERS_MAX} filters")
        name, colon, value = text.partition(":")
        if not colon or len(value) > TEXT_MAX:
            raise QuestionError(f"{text[:80]!r} is no filter: write NAME:VALUE, as in user:alice or tag.feature:search")
        dimension = parse_dimension(name)
        if dimension.by not in (*NAMED, By.TAG):
            raise QuestionError(f"spending cannot be filtered by {dimension}: name a period instead, or group by it")
        values.setdefault(dimension, []).append(value)
    return tuple(Filter(dimension, tuple(dict.fromkeys(each))) for dimension, each in values.items())
