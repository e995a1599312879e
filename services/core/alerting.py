"""Which alert thresholds a balance crosses: each once per budget and window, however often anything is replayed."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from services.core.balance import Balance, split_key
from services.core.event_id import event_id
from services.core.money import format_usd
from services.core.outcomes import Alert
from services.core.policy import Budget
from services.core.route import Slot
from services.core.schedule import BASIS_POINTS
from services.core.scope import scope_key

_NEVER = 1 << 100
UNPRICED: Final = "?"
"""Begins the mark of an unpriced model in `fired`; the name of no budget does."""
UNPRICED_MAX: Final = 64


@dataclass(slots=True)
class Watch:
    """The thresholds of one budget on one balance that have not fired yet, lowest first."""

    budget: Budget
    slot: Slot
    pending_bp: tuple[int, ...]
    next_nanousd: int = 0

    def crossed(self, settled_nanousd: int, at_ms: int) -> tuple[tuple[int, ...], int]:
        """Thresholds (basis points) reached by a settled amount, with the limit that they were measured against."""
        limit = self.budget.limit_at(at_ms)
        return tuple(bp for bp in self.pending_bp if settled_nanousd >= threshold_nanousd(limit, bp)), limit


def threshold_nanousd(limit_nanousd: int, basis_points: int) -> int:
    """The smallest settled amount that counts as having reached a threshold."""
    return -(-limit_nanousd * basis_points // BASIS_POINTS)


def watches_of(slot: Slot, balance: Balance) -> list[Watch]:
    """The watches of a slot's budgets, without the thresholds that have fired already."""
    watches = []
    for budget in slot.budgets:
        pending = tuple(bp for bp in budget.alerts_bp if fired_name(budget, bp) not in balance.fired)
        if pending:
            watch = Watch(budget, slot, pending)
            _aim(watch)
            watches.append(watch)
    return watches


def raise_alerts(
    watch: Watch, balance: Balance, organization: str, *, at_ms: int, clock_ms: int, partition: int, offset: int
) -> list[Alert]:
    """Fire what the balance has reached, mark it as fired, and return the alerts, lowest threshold first."""
    crossed, limit = watch.crossed(balance.settled_nanousd, at_ms)
    if not crossed:
        return []
    budget, slot = watch.budget, watch.slot
    balance.fired += tuple(fired_name(budget, bp) for bp in crossed)
    watch.pending_bp = tuple(bp for bp in watch.pending_bp if bp not in crossed)
    _aim(watch)
    return [
        Alert(
            alert=alert_id(budget, slot, bp),
            organization=organization,
            budget=budget.name,
            scope=slot.scope,
            window=slot.window.label,
            threshold=format_bp(bp),
            severity=severity(bp),
            settled_usd=format_usd(balance.settled_nanousd),
            limit_usd=format_usd(limit),
            raised_at_ms=clock_ms,
            ledger_partition=partition,
            ledger_offset=offset,
        )
        for bp in crossed
    ]


def raise_unpriced(
    balance: Balance, key: str, organization: str, model: str, *, clock_ms: int, partition: int, offset: int
) -> list[Alert]:
    """Tell of a model without a price, once in the day whose balance this is; marked there, so once in a replay too.

    Of so many models a day and no more: names of models come from outside.
    """
    mark = UNPRICED + blake2b(model.encode(), digest_size=8).hexdigest()
    if mark in balance.fired or sum(name.startswith(UNPRICED) for name in balance.fired) >= UNPRICED_MAX:
        return []
    balance.fired += (mark,)
    scope, window = scope_key({"org": organization, "model": model}), split_key(key)[1]
    return [
        Alert(
            alert=event_id(f"{scope}@{window}", before="unpriced/"),
            organization=organization,
            budget="unpriced",
            scope=scope,
            window=window,
            threshold="0.0",
            severity="warning",
            settled_usd=format_usd(balance.settled_nanousd),
            limit_usd="0",
            raised_at_ms=clock_ms,
            ledger_partition=partition,
            ledger_offset=offset,
            kind="unpriced",
        )
    ]


def alert_id(budget: Budget, slot: Slot, basis_points: int) -> str:
    """The name of an alert: the same in every replay, and short enough to be the id of an event."""
    return event_id(slot.key, before=f"{budget.name}/", after=f"/{basis_points}")


def fired_name(budget: Budget, basis_points: int) -> str:
    """How a balance remembers a fired threshold."""
    return f"{budget.name}:{basis_points}"


def format_bp(basis_points: int) -> str:
    """Basis points as the policy writes them: 7500 is "0.75"."""
    whole, rest = divmod(basis_points, BASIS_POINTS)
    return f"{whole}.{rest:04d}".rstrip("0").ljust(len(str(whole)) + 2, "0")


def severity(basis_points: int) -> Literal["info", "warning", "critical"]:
    """How urgent a threshold is: critical at the limit, a warning from three quarters on."""
    if basis_points >= BASIS_POINTS:
        return "critical"
    return "warning" if basis_points >= BASIS_POINTS * 3 // 4 else "info"


def _aim(watch: Watch) -> None:
    # A limit that varies has no fixed next amount, so such a watch looks closely at every charge.
    if not watch.pending_bp:
        watch.next_nanousd = _NEVER
    elif not watch.budget.varies:
        watch.next_nanousd = threshold_nanousd(watch.budget.limit_nanousd, watch.pending_bp[0])
