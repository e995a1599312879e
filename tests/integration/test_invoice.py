"""An invoice beside real rows of ClickHouse: corrected by events that the fold applies, until both are equal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

import msgspec
import pytest

from services.adapters.clickhouse import open_async_client
from services.cli.invoice_desk import corrections, drift_of
from services.core.effects import Effects
from services.core.events import UsageCorrected, from_ms
from services.core.fold import fold
from services.core.invoice import Cell, Line, names_of
from services.core.outcomes import AuditRecorded, ChargePosted
from services.core.price_list import PriceList
from services.sink.audit_log import AUDIT
from services.sink.charges import CHARGES
from services.sink.feed import Feed
from services.sink.ranges import Range
from services.sink.store import Store
from tests.core.ledger import NOON_MS, new_state, record
from tests.integration.forecasting import migrated

DAY = from_ms(NOON_MS).date()
NAMES = names_of(PriceList.bundled())
MODEL = "gpt-4o"


@pytest.fixture
def address(clickhouse: str) -> str:
    return migrated(clickhouse)


class Books:
    """A ledger partition, and what follows from it in ClickHouse."""

    def __init__(self, address: str) -> None:
        self.address, self.state, self.offset = address, new_state(), 0

    async def append(self, *events: Any) -> Effects:
        """One record: folded, and its charges and audit entries stored as the sink stores them."""
        effects = fold(self.state, record(self.offset, *events))
        posted = [
            ChargePosted(id=each.charge, source="t", time=from_ms(each.recorded_at_ms), data=each)
            for each in effects.charges
        ]
        audited = [
            AuditRecorded(id=each.entry, source="t", time=from_ms(each.at_ms), data=each) for each in effects.audit
        ]
        await self._store(CHARGES, posted)
        await self._store(AUDIT, audited)
        self.offset += 1
        return effects

    async def _store(self, feed: Feed[Any], events: Sequence[msgspec.Struct]) -> None:
        if not events:
            return
        block = feed.block(0, [(self.offset, msgspec.json.encode(events))])
        assert not block.malformed
        store = Store(partial(open_async_client, self.address))
        try:
            await store.insert(feed.table, block.rows, Range(f"t-{feed.topic}", 0, self.offset, self.offset))
        finally:
            await store.close()

    async def check(self, lines: Sequence[Line]) -> tuple[Cell, ...]:
        """What differs at all."""
        client = await open_async_client(self.address)
        try:
            return (await drift_of(client, "acme", lines, NAMES)).beyond(0, 0)
        finally:
            await client.close()

    async def correct(self, lines: Sequence[Line]) -> tuple[list[UsageCorrected], int]:
        """The corrections, and what has no charge to go to."""
        events: list[UsageCorrected] = []
        left = 0
        cells = await self.check(lines)
        async with await open_async_client(self.address) as client:
            async for _, found, remaining in corrections(
                client, "acme", cells, NAMES, why="d1gest invoice november", now_ms=NOON_MS
            ):
                events += found
                left += remaining
        return events, left


def usage(number: int, *, model: str = MODEL, cost_usd: str | None = "0.5", user: str = "bo") -> dict[str, Any]:
    """A request, priced by what the provider said, or by nobody."""
    data: dict[str, Any] = {
        "organization": "acme",
        "user": user,
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 100 * number,
        "gen_ai.usage.output_tokens": 1,
    }
    if cost_usd is not None:
        data["cost_usd"] = cost_usd
    return {
        "specversion": "1.0",
        "id": f"u{number}-{model}",
        "source": "t",
        "type": "spendgate.usage.recorded.v1",
        "time": from_ms(NOON_MS).isoformat(),
        "data": data,
    }


def line(nanousd: int, *, model: str = MODEL, day: date = DAY) -> Line:
    """The provider's word."""
    return Line(day, "openai", model, nanousd)


def settled(books: Books) -> int:
    """What the organization has spent in the month, by the balances."""
    (found,) = [
        balance.settled_nanousd for key, balance in books.state.tables.items() if key.startswith("org:acme@month")
    ]
    return found


@pytest.mark.parametrize("theirs", [1_600_000_001, 1_499_999_998, 0])
async def test_corrections_make_both_equal_to_the_nano_dollar_and_once(address: str, theirs: int) -> None:
    books = Books(address)
    await books.append(*[usage(number, user=f"user-{number}") for number in range(1, 4)])
    assert settled(books) == 1_500_000_000
    events, left = await books.correct([line(theirs)])
    assert left == 0
    effects = await books.append(*[msgspec.to_builtins(event) for event in events])
    assert effects.rejections == []
    assert settled(books) == theirs
    assert await books.check([line(theirs)]) == ()
    again = await books.append(*[msgspec.to_builtins(event) for event in events])
    assert again.counts["duplicate"] == len(events)
    assert settled(books) == theirs


async def test_a_charge_that_was_corrected_before_is_corrected_from_where_it_stands(address: str) -> None:
    books = Books(address)
    await books.append(usage(1), usage(2))
    for theirs in (2_000_000_000, 700_000_001, 700_000_002):
        events, _ = await books.correct([line(theirs)])
        effects = await books.append(*[msgspec.to_builtins(event) for event in events])
        assert effects.rejections == []
        assert settled(books) == theirs
        assert await books.check([line(theirs)]) == ()


async def test_requests_without_a_price_get_what_the_provider_charged_for_them(address: str) -> None:
    books = Books(address)
    model = "our-own-name"
    await books.append(usage(1, model=model, cost_usd=None), usage(3, model=model, cost_usd=None))
    theirs = [Line(DAY, "", model, 404)]
    (cell,) = await books.check(theirs)
    assert (cell.ours_nanousd, cell.unpriced) == (0, 2)
    events, left = await books.correct(theirs)
    assert (left, [event.data.previous_cost_usd for event in events]) == (0, [None, None])
    await books.append(*[msgspec.to_builtins(event) for event in events])
    assert await books.check(theirs) == ()
    assert settled(books) == 404


async def test_what_nobody_here_was_charged_for_is_told_and_not_invented(address: str) -> None:
    books = Books(address)
    await books.append(usage(1))
    theirs = [line(500_000_000), line(77, model="gpt-4o-mini")]
    assert await books.correct(theirs) == ([], 77)


async def test_charges_that_the_invoice_does_not_name_stay_as_they_are(address: str) -> None:
    books = Books(address)
    await books.append(usage(1), usage(2, model="gpt-4o-mini"))
    theirs = [line(600_000_000)]
    events, left = await books.correct(theirs)
    await books.append(*[msgspec.to_builtins(event) for event in events])
    assert (left, settled(books)) == (0, 1_100_000_000)
    (cell,) = await books.check(theirs)
    assert (cell.key.model, cell.ours_nanousd, cell.theirs_nanousd) == ("gpt-4o-mini", 500_000_000, None)
