"""Charges of any kind and shape, drawn by Hypothesis or made by hand, in the real table of charges."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from clickhouse_connect.driver import AsyncClient
from hypothesis import strategies as st

from services.adapters.clickhouse import open_async_client
from services.core.events import from_ms
from services.core.outcomes import Charge, ChargePosted
from services.sink.charges import CHARGES
from services.sink.ranges import Range
from services.sink.store import Store

NAMES = st.sampled_from([None, "search", "chat", "<b>bold</b>", "a|b", "ü/ß", "=1+1"])
TAGS = st.dictionaries(st.sampled_from(["feature", "cost center", 'quo"te']), st.sampled_from(["a", "b\\", "é"]))
COSTS = st.integers(0, 9_000_000_000)
DIFFERENCES = st.just(0) | st.integers(-5_000_000_000, 5_000_000_000)
TOKENS = st.integers(0, 100_000)


@st.composite
def charges(draw: st.DrawFn, begin_ms: int, end_ms: int) -> Charge:
    """One charge of an instant in the period, recorded then or up to 40 days later; its fields fit its kind."""
    kind = draw(st.sampled_from(["usage", "usage", "usage", "unconfirmed", "adjustment", "correction"]))
    at_ms = draw(st.integers(begin_ms, end_ms - 1))
    shared: dict[str, Any] = {
        "charge": "c",
        "sequence": 1,
        "kind": kind,
        "organization": "",
        "project": draw(NAMES),
        "team": draw(NAMES),
        "user": draw(NAMES),
        "provider": draw(st.sampled_from([None, "openai", "anthropic"])),
        "model": draw(st.sampled_from(["gpt-4o", "claude-haiku-4-5"])),
        "tags": draw(TAGS),
        "status": draw(st.sampled_from(["ok", "error", "cancelled"])),
        "charged_at_ms": at_ms,
        "recorded_at_ms": at_ms + draw(st.sampled_from([0, 1_000, 86_400_000, 40 * 86_400_000])),
        "price_version": draw(st.sampled_from(["", "p1", "p2"])),
        "source": "gateway",
        "event_id": "e",
        "ledger_partition": 0,
        "ledger_offset": 0,
        "ledger_index": 0,
    }
    if kind == "usage":
        return Charge(**shared, **draw(_usages()))
    cost = draw(COSTS) if kind == "unconfirmed" else draw(DIFFERENCES)
    unpriced = draw(st.sampled_from([0, -1])) if kind == "correction" else 0
    return Charge(**shared, cost_nanousd=cost, requests=int(kind == "unconfirmed"), unpriced=unpriced)


@st.composite
def _usages(draw: st.DrawFn) -> dict[str, Any]:
    """The counts and costs of a request: priced by class of token, stated in one sum, or unpriced."""
    read, written, fresh, output = draw(TOKENS), draw(TOKENS), draw(TOKENS), draw(TOKENS)
    tokens = {
        "input_tokens": read + written + fresh,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
    }
    how = draw(st.sampled_from(["split", "split", "stated", "unpriced"]))
    if how != "split":
        priced = how == "stated"
        return {**tokens, "cost_nanousd": draw(COSTS) if priced else None, "unpriced": int(not priced)}
    names = ("input_cost_nanousd", "output_cost_nanousd", "cache_read_cost_nanousd", "cache_write_cost_nanousd")
    counts = (fresh, output, read, written)
    costs = {name: draw(COSTS) if count else 0 for name, count in zip(names, counts, strict=True)}
    fee = draw(st.sampled_from([0, 0, 7_000_001]))
    costs["input_cost_nanousd"] += fee
    return {**tokens, **costs, "cost_nanousd": sum(costs.values())}


def numbered(organization: str, made: Sequence[Charge]) -> list[Charge]:
    """The same charges as an organization's own, each with a name and a place of its own."""
    return [
        msgspec.structs.replace(
            charge,
            organization=organization,
            charge=f"{organization}-{n}",
            event_id=f"{organization}-{n}",
            sequence=n + 1,
            ledger_offset=n,
        )
        for n, charge in enumerate(made)
    ]


async def insert(address: str, made: Sequence[Charge], *, first: int = 0) -> None:
    """Put charges into the table as the sink does; `first` tells one insert from another."""
    posted = [ChargePosted(id=c.charge, source="s", time=from_ms(c.recorded_at_ms), data=c) for c in made]
    store = Store(partial(open_async_client, address))
    try:
        block = CHARGES.block(0, [(first, msgspec.json.encode(posted))])
        await store.insert("charges", block.rows, Range("charges", 0, first, first))
    finally:
        await store.close()


async def opened(address: str) -> AsyncClient:
    """A client of the database."""
    return await open_async_client(address)
