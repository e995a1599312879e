"""Where a balance stands at an enforcer, and the chain of budgets that a request has to pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from services.core.policy import Budget
from services.core.schedule import BASIS_POINTS
from services.core.window import Window


@mypyc_attr(acyclic=True)
@dataclass(kw_only=True, slots=True)
class Standing:
    """One balance as an enforcer knows it, in nano-dollars.

    `settled_nanousd` is the ledger's (unconfirmed spending included), `pending_nanousd` was settled through this
    enforcer and is not yet in the ledger's figure, `held_nanousd` is reserved for requests in flight. `offset` is the
    ledger offset that last changed the ledger's figures.

    Of its own share (see `escrow`) it knows what the ledger has `granted` and counted as `used`, and by itself all that
    it ever `wanted` and `returned`: running totals. `asked` is the beat of the last claim that said so, `answered` the
    beat of the last one that the ledger has applied; 0 is none. `outstanding_nanousd` are the shares of all enforcers,
    `recalled` says that another waits for room, `grace_from_ms` when grace was opened in this window (0: never).
    `graced` is the beat of the last claim that asked for it. `paced_until_us` is where the pace stands (see `pacing`).
    """

    settled_nanousd: int = 0
    pending_nanousd: int = 0
    held_nanousd: int = 0
    unconfirmed_nanousd: int = 0
    requests: int = 0
    unpriced: int = 0
    offset: int = -1
    granted_nanousd: int = 0
    used_nanousd: int = 0
    wanted_nanousd: int = 0
    returned_nanousd: int = 0
    asked: int = 0
    answered: int = 0
    outstanding_nanousd: int = 0
    recalled: bool = False
    grace_from_ms: int = 0
    graced: int = 0
    paced_until_us: int = 0

    @property
    def share_nanousd(self) -> int:
        """What this enforcer may still reserve of its share: whatever was settled here is in `used` or in `pending`."""
        taken = self.used_nanousd + self.pending_nanousd + self.held_nanousd
        return self.granted_nanousd - self.returned_nanousd - taken

    def claimed(self, amount_nanousd: int) -> bool:
        """Whether what was wanted so far covers this amount too, were it all granted."""
        taken = self.used_nanousd + self.pending_nanousd + self.held_nanousd
        return self.wanted_nanousd - self.returned_nanousd - taken >= amount_nanousd

    def refused(self, amount_nanousd: int) -> bool:
        """Whether the ledger has answered the last claim and had no room for all of it, and the share is too small.

        The amount need not have been claimed: what has no room for less has none for more.
        """
        return self._is_short and self.share_nanousd < amount_nanousd

    def grace_refused(self, amount_nanousd: int) -> bool:
        """The same of a claim made since grace was opened, or that asked for it."""
        return self.refused(amount_nanousd) and (self.grace_from_ms > 0 or 0 < self.graced <= self.answered)

    @property
    def _is_short(self) -> bool:
        return 0 < self.asked <= self.answered and self.granted_nanousd < self.wanted_nanousd

    @property
    def spent_nanousd(self) -> int:
        """What was really used, as far as anybody knows."""
        return self.settled_nanousd + self.pending_nanousd

    @property
    def idle(self) -> bool:
        """Whether this enforcer adds nothing to what the ledger says."""
        return not self.held_nanousd and not self.pending_nanousd


class Limits(NamedTuple):
    """A budget's limit at an instant, and the amounts beyond which its tiers begin; nano-dollars.

    `grace_nanousd` is where grace ends: the hard tier itself for a budget without.
    """

    limit_nanousd: int
    soft_nanousd: int
    throttle_nanousd: int
    hard_nanousd: int
    grace_nanousd: int

    @classmethod
    def of(cls, budget: Budget, at_ms: int) -> Limits:
        """What the budget allows at this instant: its schedule and boosts applied."""
        limit, tiers = budget.limit_at(at_ms), budget.tiers
        extra_bp = 0 if budget.grace is None else budget.grace.percent_bp
        return cls(
            limit,
            limit * tiers.soft_bp // BASIS_POINTS,
            limit * tiers.throttle_bp // BASIS_POINTS,
            limit * tiers.hard_bp // BASIS_POINTS,
            limit * (tiers.hard_bp + extra_bp) // BASIS_POINTS,
        )


@mypyc_attr(acyclic=True)
@dataclass(frozen=True, slots=True)
class Link:
    """One budget of a request's chain: the balance that it limits, and in which window.

    `fixed` are the limits of a budget that never varies, worked out once; `soft_nanousd` and `hard_nanousd` are two of
    them, and negative for one that varies. `blocks`: its hard tier denies.
    """

    budget: Budget
    scope: str
    window: Window
    standing: Standing
    fixed: Limits | None
    soft_nanousd: int
    hard_nanousd: int
    blocks: bool

    @classmethod
    def of(cls, budget: Budget, scope: str, window: Window, standing: Standing) -> Link:
        """The link between a budget and the standing that it limits."""
        blocks = budget.on_hard == "deny"
        if budget.varies:
            return cls(budget, scope, window, standing, None, -1, -1, blocks)
        fixed = Limits.of(budget, window.start_ms)
        return cls(budget, scope, window, standing, fixed, fixed.soft_nanousd, fixed.hard_nanousd, blocks)

    @property
    def key(self) -> str:
        """The key of the balance."""
        return f"{self.scope}@{self.window.label}"

    def limits_at(self, at_ms: int) -> Limits:
        """The limits at an instant."""
        return self.fixed or Limits.of(self.budget, at_ms)
