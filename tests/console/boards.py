"""Boards filled by hand, as the topics would fill them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.policy import load_policy
from services.console.board import Board
from services.core.effects import PolicyEntry
from services.core.events import from_ms, to_ms
from services.core.outcomes import Charge, ChargePosted

NOW_MS = to_ms(datetime(2026, 11, 17, 15, 30, 20, tzinfo=UTC))
USD = 1_000_000_000
POSITION = b"#position"


@dataclass(frozen=True, slots=True)
class Sent:
    """A record of a topic."""

    key: bytes | None
    value: bytes | None
    offset: int = 0


def balance(key: str, settled_usd: float, *, offset: int = 1, **more: Any) -> Sent:
    """A record of the balances changelog."""
    amount = {"settled_nanousd": round(settled_usd * USD), "requests": 1, "offset": offset, **more}
    return Sent(key.encode(), msgspec.json.encode(amount))


def policy(text: str, *, boosts: list[dict[str, Any]] | None = None) -> Sent:
    """A record of the policies changelog."""
    document = load_policy(text).model_dump(mode="json")
    name = str(document["organization"])
    entry = PolicyEntry(organization=name, version=1, policy=document, by="test", reason="", offset=0)
    raw = {**msgspec.to_builtins(entry), "boosts": boosts or []}
    return Sent(name.encode(), msgspec.json.encode(raw))


def charge(sequence: int, *, cost_usd: float = 1.0, ago_ms: int = 0, **whose: Any) -> Charge:
    """A charge of Acme's, posted so long ago."""
    at_ms = NOW_MS - ago_ms
    place = {"ledger_partition": 0, "ledger_offset": sequence, "ledger_index": 0}
    return Charge(
        **{
            "charge": f"0-{sequence}-0",
            "sequence": sequence,
            "kind": "usage",
            "organization": "acme",
            "model": "gpt-4o",
            "cost_nanousd": round(cost_usd * USD),
            "charged_at_ms": at_ms,
            "recorded_at_ms": at_ms,
            "source": "test",
            "event_id": f"e{sequence}",
            **place,
            **whose,
        }
    )


def posted(*charges: Charge) -> Sent:
    """A record of the charges topic."""
    events = [
        ChargePosted(id=each.charge, source="test", time=from_ms(each.recorded_at_ms), data=each) for each in charges
    ]
    return Sent(None, msgspec.json.encode(events))


def board_of(*, restored: bool = True, **topics: list[Sent]) -> Board:
    """A board that has taken these records and, unless told otherwise, has caught up."""
    board = Board()
    for topic, records in topics.items():
        assert board.take(topic, 0, records, NOW_MS) == []
    board.books.restored = restored
    return board
