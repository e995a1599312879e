"""When which of a model's prices holds: from a date on, or in some hours of the (UTC) day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final

from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, TimeOfDateConstraint
from mypy_extensions import mypyc_attr

from services.core.events import to_ms
from services.core.price_table import PriceTable, compile_prices

BEGINNING_MS: Final = -(1 << 62)
END_MS: Final = 1 << 62

_DAY_MS: Final = 86_400_000


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Dated:
    """A price table (None: not priced by tokens) and when it holds.

    From `from_ms` on; in `hours`, the milliseconds of the UTC day at which it begins and ends, if they are given.
    """

    table: PriceTable | None
    from_ms: int = BEGINNING_MS
    hours: tuple[int, int] | None = None

    def holds(self, at_ms: int) -> bool:
        """Whether it holds at an instant."""
        if self.hours is None:
            return at_ms >= self.from_ms
        (begin, end), now = self.hours, at_ms % _DAY_MS
        return begin <= now < end if begin <= end else now >= begin or now < end

    def changes_near(self, at_ms: int) -> tuple[int, ...]:
        """The instants around `at_ms` at which it begins or ceases to hold."""
        if self.hours is None:
            return (self.from_ms,)
        midnight_ms = at_ms - at_ms % _DAY_MS
        return tuple(midnight_ms + day_ms + hour for day_ms in (-_DAY_MS, 0, _DAY_MS) for hour in self.hours)


UNKNOWN: Final[tuple[Dated, ...]] = (Dated(None),)
"""The prices of a model that nobody has heard of."""


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Stretch:
    """The time around an instant in which one price table holds: `from_ms <= at_ms < until_ms`."""

    table: PriceTable | None
    from_ms: int
    until_ms: int


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Outlook:
    """The price tables that may hold for a request made in `from_ms <= at_ms < until_ms`, by the time it ends."""

    tables: tuple[PriceTable, ...]
    from_ms: int
    until_ms: int


def compile_dates(model: ModelInfo) -> tuple[Dated, ...]:
    """All prices of a model; as in genai-prices, the last one that holds counts, and the first one if none does."""
    if isinstance(model.prices, ModelPrice):
        return (Dated(compile_prices(model.prices)),)
    return tuple(_dated(conditional) for conditional in model.prices)


def stretch_at(prices: Sequence[Dated], at_ms: int) -> Stretch:
    """The price table in force at an instant, and how long around it."""
    in_force = next((dated for dated in reversed(prices) if dated.holds(at_ms)), prices[0])
    changes = [change_ms for dated in prices for change_ms in dated.changes_near(at_ms)]
    return Stretch(
        in_force.table,
        max((change_ms for change_ms in changes if change_ms <= at_ms), default=BEGINNING_MS),
        min((change_ms for change_ms in changes if change_ms > at_ms), default=END_MS),
    )


def outlook_at(prices: Sequence[Dated], at_ms: int, *, lasts_ms: int) -> Outlook:
    """The price tables in force at an instant, and up to `lasts_ms` before or after it."""
    if len(prices) == 1:
        return Outlook(_known([prices[0].table]), BEGINNING_MS, END_MS)
    from_ms = at_ms - at_ms % lasts_ms
    until_ms = from_ms + lasts_ms
    in_force: list[PriceTable | None] = []
    instant = from_ms - lasts_ms
    while instant <= until_ms + lasts_ms:
        stretch = stretch_at(prices, instant)
        in_force.append(stretch.table)
        instant = stretch.until_ms
    return Outlook(_known(in_force), from_ms, until_ms)


def _known(tables: Sequence[PriceTable | None]) -> tuple[PriceTable, ...]:
    return tuple(table for table in tables if table is not None)


def _dated(conditional: ConditionalPrice) -> Dated:
    table = compile_prices(conditional.prices)
    match conditional.constraint:
        case None:
            return Dated(table)
        case StartDateConstraint(start_date=day):
            return Dated(table, from_ms=to_ms(datetime.combine(day, time(), UTC)))
        case TimeOfDateConstraint(start_time=begin, end_time=end):
            return Dated(table, hours=(_ms_of_day(begin), _ms_of_day(end)))


def _ms_of_day(clock: time) -> int:
    """Milliseconds of the UTC day; a clock without a zone is UTC's."""
    zone = clock.tzinfo or UTC
    return to_ms(datetime.combine(date(1970, 1, 1), clock.replace(tzinfo=zone))) % _DAY_MS
