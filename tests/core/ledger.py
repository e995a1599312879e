"""Ledger records for tests of the fold, and the state they lead to, through the changelog or straight on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.core.effects import Effects
from services.core.escrow import ENFORCER_KEY
from services.core.events import from_ms, to_ms
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

NOON_MS = to_ms(datetime(2026, 11, 24, 12, tzinfo=UTC))
PRICES = PriceBook.bundled()

Json = dict[str, Any]


def event(kind: str, data: Json, *, event_id: str = "e1", source: str = "edge-1", at_ms: int = NOON_MS) -> Json:
    """A CloudEvent as it stands in the ledger."""
    time = from_ms(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": f"spendgate.{kind}.v1",
        "time": time,
        "data": data,
    }


def usage(
    event_id: str = "e1",
    *,
    source: str = "edge-1",
    at_ms: int = NOON_MS,
    organization: str = "acme",
    model: str = "gpt-4o",
    input_tokens: int | None = 1000,
    output_tokens: int | None = 100,
    **more: Any,
) -> Json:
    """One request's usage; `project`, `team`, `user`, `tags`, `reservation`, `cost_usd` as keywords."""
    data: Json = {"organization": organization, "gen_ai.request.model": model, **more}
    if input_tokens is not None:
        data["gen_ai.usage.input_tokens"] = input_tokens
    if output_tokens is not None:
        data["gen_ai.usage.output_tokens"] = output_tokens
    return event("usage.recorded", data, event_id=event_id, source=source, at_ms=at_ms)


def costing(usd: str, event_id: str = "e1", **more: Any) -> Json:
    """A usage whose provider stated the cost."""
    return usage(event_id, cost_usd=usd, **more)


def expiry(reservation: str, estimate_usd: str, *, at_ms: int = NOON_MS, **more: Any) -> Json:
    """A reservation that nobody settled."""
    data = {
        "organization": "acme",
        "gen_ai.request.model": "gpt-4o",
        "reservation": reservation,
        "estimate_usd": estimate_usd,
    }
    return event("reservation.expired", data | more, event_id=f"x-{reservation}", source="enforcer", at_ms=at_ms)


def policy(
    *budgets: Json, version: int = 1, organization: str = "acme", timezone: str = "UTC", at_ms: int = NOON_MS
) -> Json:
    """A policy change with the given budgets."""
    written = {"organization": organization, "timezone": timezone, "budgets": list(budgets)}
    data = {"organization": organization, "version": version, "policy": written, "by": "ada", "reason": "test"}
    return event("policy.changed", data, event_id=f"p{version}", source="admin", at_ms=at_ms)


def budget(name: str, limit_usd: str, window: str = "month", **more: Any) -> Json:
    """A budget as a policy writes it."""
    return {"name": name, "limit_usd": limit_usd, "window": window, **more}


def record(offset: int, *events: Json, at_ms: int = NOON_MS, partition: int = 0) -> Record:
    """A ledger record of events, appended at `at_ms`."""
    return Record(partition=partition, offset=offset, appended_at_ms=at_ms, value=json.dumps(events).encode())


def new_state() -> LedgerState:
    """An empty state of partition 0."""
    return LedgerState(0, PRICES)


def _append(table: dict[Any, bytes], values: Mapping[Any, object]) -> None:
    for key, value in values.items():
        table.pop(key, None)
        if value is not None:
            table[key] = msgspec.json.encode(value)


class Changelog:
    """The compacted changelogs as a broker keeps them: the last value of each key, in the order of last writing."""

    def __init__(self) -> None:
        self.balances: dict[str, bytes] = {}
        self.policies: dict[str, bytes] = {}
        self.seen: dict[int, bytes] = {}
        self.position = b""

    def write(self, effects: Effects) -> None:
        """Append one transaction."""
        _append(self.balances, effects.balances)
        _append(self.balances, {ENFORCER_KEY + name: found for name, found in effects.enforcers.items()})
        _append(self.policies, effects.policies)
        _append(self.seen, effects.seen)
        if effects.position is not None:
            self.position = msgspec.json.encode(effects.position)

    def restore(self) -> LedgerState:
        """The state that a new process rebuilds."""
        state = new_state()
        for entry in self.policies.values():
            state.restore_policy(entry)
        for key, value in self.balances.items():
            state.restore_balance(key, value)
        for offset, value in self.seen.items():
            state.restore_seen(offset, value)
        if self.position:
            state.restore_position(self.position)
        return state


def run(records: Iterable[Record], state: LedgerState | None = None) -> tuple[LedgerState, Effects]:
    """Fold records into a state (a new one by default); the effects of all of them together."""
    state = state or new_state()
    effects = Effects()
    for each in records:
        effects.absorb(fold(state, each))
    return state, effects


def settled(state: LedgerState) -> dict[str, int]:
    """Every balance's settled amount."""
    return {key: balance.settled_nanousd for key, balance in state.tables.items()}


def in_records(events: Sequence[Json], sizes: Sequence[int]) -> list[Record]:
    """Events cut into records of the given sizes (the last size repeats)."""
    records, start = [], 0
    for offset in range(len(events)):
        size = sizes[min(offset, len(sizes) - 1)]
        if start >= len(events):
            break
        records.append(record(offset, *events[start : start + size]))
        start += size
    return records


def proposed(
    *budgets: Json, version: int, by: str = "ada", key_id: str | None = "k-ada", proposal: str = "prop-1", **more: Any
) -> Json:
    """A policy that somebody wants in force; `governance` as keyword."""
    written = {"organization": "acme", "budgets": list(budgets), **more}
    data = {"organization": "acme", "version": version, "policy": written, "by": by, "reason": "plan"}
    data |= {"key_id": key_id, "proposal": proposal}
    return event("policy.proposed", data, event_id=f"{proposal}-{version}", source="admin")


def reviewed(
    proposal: str = "prop-1", *, by: str = "bob", key_id: str | None = "k-bob", verdict: str = "approve"
) -> Json:
    """What somebody says to a proposal."""
    data = {"organization": "acme", "proposal": proposal, "verdict": verdict, "by": by, "key_id": key_id, "note": "ok"}
    return event("proposal.reviewed", data, event_id=f"{proposal}-{verdict}-{by}-{key_id}", source="admin")
