"""Which windows of budgets that carry over have ended, have settled, and are not carried over yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.policy import Policy
from services.core.balance import CARRY_AFTER_MS
from services.core.effects import PolicyEntry
from services.core.event_id import event_id
from services.core.policy import CompiledPolicy
from services.core.window import window_at


@dataclass(frozen=True, slots=True)
class DueCarry:
    """A window of a budget to be carried over; `name` follows from both."""

    name: str
    budget: str
    window: str
    reason: str


def due_carries(entry: PolicyEntry, written: Policy, compiled: CompiledPolicy, now_ms: int) -> Iterator[DueCarry]:
    """In the order of the policy."""
    done = {(each.budget, each.window) for each in entry.carries}
    for budget in written.budgets:
        if budget.carry_over is None:
            continue
        kind = next(each.window for each in compiled.budgets if each.name == budget.name)
        running = window_at(kind, now_ms, compiled.zone)
        settled = now_ms >= running.start_ms + CARRY_AFTER_MS
        before = window_at(kind, running.start_ms - 1, compiled.zone).label
        carried_then = entry.carrying_since_ms.get(budget.name, now_ms) < running.start_ms
        if settled and carried_then and (budget.name, before) not in done:
            reason = f"{before} is over, and {budget.name} carries over what it left"
            yield DueCarry(event_id(f"carry/{budget.name}/{before}"), budget.name, before, reason)
