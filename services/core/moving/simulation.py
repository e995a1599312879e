"""What the rules of a policy would have done with the requests of the past: the same policy with them and without."""

from __future__ import annotations

from typing import Final

from schemas.policy import Policy
from services.core.effects import GrantedMove, PolicyEntry
from services.core.money import format_usd
from services.core.moving.need import Stand
from services.core.moving.wanted import WantedMove, wanted_moves
from services.core.policy import ANY, CompiledPolicy, budget_scope
from services.core.pricing import PriceBook
from services.core.state import compiled_of
from services.core.whatif import Account, PastRequest, Rerun
from services.core.window import Window, window_at

LOOK_MS: Final = 3_000
"""How often rules are looked at, as a steward does."""
KNOWN_PARTS: Final = 20
"""What is expected of a window is said once this part of it is over: spending so far, continued."""


class Simulation:
    """Two reruns side by side, fed with requests in the order of their times; `moves` are those that rules made."""

    def __init__(self, written: Policy, prices: PriceBook) -> None:
        self._written = written
        self._plain = CompiledPolicy.compile(written, version=1)
        self._entry = PolicyEntry(
            organization=written.organization, version=1, policy={}, by="simulation", reason="", offset=0
        )
        self._moved = self._plain
        self._with, self._without = Rerun(self._plain, prices), Rerun(self._plain, prices)
        self._look_at_ms = 0
        self.with_rules, self.without_rules = Account(), Account()
        self.moves: list[tuple[int, WantedMove]] = []
        self.refusals_avoided = 0

    def count(self, request: PastRequest) -> None:
        """Let a request from before the period be as it was."""
        self._with.count(request)
        self._without.count(request)

    def offer(self, request: PastRequest) -> None:
        """Decide a request with rules and without; before that, look at the rules if it is time to."""
        if request.at_ms >= self._look_at_ms:
            self._look(request.at_ms)
            self._look_at_ms = request.at_ms + LOOK_MS
        ruled, plain = self._with.offer(request), self._without.offer(request)
        self.with_rules.add(request, ruled)
        self.without_rules.add(request, plain)
        self.refusals_avoided += ruled.made and not plain.made

    def _look(self, at_ms: int) -> None:
        wanted = wanted_moves(self._moved, self._written, self._entry.moves, self._stands(at_ms), at_ms)
        if not wanted:
            return
        self.moves += [(at_ms, each) for each in wanted]
        running = [each for each in self._entry.moves if each.ends_ms is None or each.ends_ms > at_ms]
        granted = [_granted(each, at_ms) for each in wanted]
        self._entry = PolicyEntry(
            organization=self._entry.organization,
            version=1,
            policy={},
            by="simulation",
            reason="",
            offset=0,
            moves=(*running, *granted),
        )
        self._moved = compiled_of(self._entry, self._written)
        self._with.adopt(self._moved)

    def _stands(self, at_ms: int) -> dict[str, Stand]:
        found = {}
        for budget in self._plain.budgets:
            if all(value != ANY for _, value in budget.pattern):
                window = window_at(budget.window, at_ms, self._plain.zone)
                scope = budget_scope(self._plain.organization, dict(budget.pattern))
                settled = self._with.settled_nanousd(f"{scope}@{window.label}")
                found[budget.name] = Stand(settled, 0, _continued(settled, window, at_ms))
        return found


def _continued(settled_nanousd: int, window: Window, at_ms: int) -> int | None:
    """What a window comes to if it goes on as until now."""
    if window.end_ms is None:
        return None
    elapsed_ms, length_ms = at_ms - window.start_ms, window.end_ms - window.start_ms
    return settled_nanousd * length_ms // elapsed_ms if elapsed_ms * KNOWN_PARTS >= length_ms else None


def _granted(wanted: WantedMove, at_ms: int) -> GrantedMove:
    return GrantedMove(
        move=wanted.move,
        from_budget=wanted.from_budget,
        to_budget=wanted.to_budget,
        amount_usd=format_usd(wanted.amount_nanousd),
        since_ms=at_ms,
        ends_ms=wanted.ends_ms,
        rule=wanted.rule,
        returns=wanted.returns,
        by="simulation",
        reason=wanted.reason,
    )
