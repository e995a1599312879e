"""Which moves the rules of a policy want now, and which are due back: in a fixed order, with their reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.budget import Budget as WrittenBudget
from schemas.policy import Policy
from schemas.rules import SIBLINGS, Rule, siblings_of
from services.core.effects import GrantedMove
from services.core.event_id import event_id
from services.core.governance.words import dollars
from services.core.money import parse_usd
from services.core.moving.need import NOTHING, Need, Stand, need_of, rank
from services.core.moving.terms import check_bounds, free, parents, plain_limit, sparing, taking
from services.core.policy import Budget, CompiledPolicy
from services.core.rejection import Refused
from services.core.schedule import BASIS_POINTS
from services.core.window import Window, window_at

CRUMB_PARTS: Final = 10
"""What is less than this part of a step is not worth an event."""


@dataclass(frozen=True, slots=True)
class WantedMove:
    """A move that a rule wants, or that gives back an earlier one.

    `move` follows from the rule, the window and how often it has moved in it: whoever works it out, however often,
    names the same one.
    """

    move: str
    from_budget: str
    to_budget: str
    amount_nanousd: int
    ends_ms: int | None
    rule: str | None
    returns: str | None
    reason: str


def wanted_moves(
    policy: CompiledPolicy,
    written: Policy,
    moves: Iterable[GrantedMove],
    stands: Mapping[str, Stand],
    now_ms: int,
) -> list[WantedMove]:
    """What is to be moved now, given where budgets stand (by name); one move for each budget in need at most."""
    look = _Look(
        policy,
        written,
        tuple(moves),
        stands,
        now_ms,
        {each.name: each for each in policy.budgets},
        {each.name: each for each in written.budgets},
    )
    return [*look.due_back(), *look.by_rules()]


@dataclass(slots=True)
class _Look:
    policy: CompiledPolicy
    written: Policy
    moves: tuple[GrantedMove, ...]
    stands: Mapping[str, Stand]
    now_ms: int
    budgets: Mapping[str, Budget]
    documents: Mapping[str, WrittenBudget]
    given: Counter[str] = field(default_factory=Counter)
    planned: list[WantedMove] = field(default_factory=list)

    def due_back(self) -> Iterator[WantedMove]:
        """Moves whose time is over before their window: what is free of them is given back."""
        for move in self.moves:
            over = move.until_ms is not None and move.until_ms <= self.now_ms
            if not over or (move.ends_ms is not None and move.ends_ms <= self.now_ms):
                continue
            backs = [each for each in self.moves if each.returns == move.move]
            left = parse_usd(move.amount_usd) - sum(parse_usd(each.amount_usd) for each in backs)
            amount = min(left, self._spare(self.budgets[move.to_budget]))
            if amount > 0:
                self.given[move.to_budget] += amount
                name = event_id(move.move, after=f"/back/{len(backs) + 1}")
                reason = f"{move.to_budget} had {dollars(left)} of {move.from_budget} for a time that is over"
                yield WantedMove(
                    name, move.to_budget, move.from_budget, amount, move.ends_ms, move.rule, move.move, reason
                )

    def by_rules(self) -> Iterator[WantedMove]:
        """Rules in the order they are written, each for the budgets of the highest priority first."""
        served: set[str] = set()
        for rule in self.written.rules:
            takers = sorted(rule.give_to, key=lambda name: -rank(self.documents[name].priority))
            for taker in (name for name in takers if name not in served):
                wanted = self._serve(rule, taker)
                if wanted is not None:
                    served.add(taker)
                    self.given[wanted.from_budget] += wanted.amount_nanousd
                    self.planned.append(wanted)
                    yield wanted

    def _serve(self, rule: Rule, name: str) -> WantedMove | None:
        taker = self.budgets[name]
        window = window_at(taker.window, self.now_ms, self.policy.zone)
        moved = _MovedBy(rule, window, self.moves, self.planned, self.now_ms)
        need = need_of(rule, taker, self._stand(taker), window, self.now_ms)
        if need is None or not need.holds or moved.rests(name):
            return None
        step = _step(rule, taker)
        top = min([step, *(most for most in (moved.left, self._takes(taker)) if most is not None)])
        for giver in self._givers(rule, taker, window):
            amount = min(top, self._spare(giver))
            if amount * CRUMB_PARTS >= step and amount > 0 and self._allowed(giver, taker, amount):
                return self._move(rule, giver, taker, amount, window, need, moved)
        return None

    def _move(
        self, rule: Rule, giver: Budget, taker: Budget, amount: int, window: Window, need: Need, moved: _MovedBy
    ) -> WantedMove:
        left = self._spare(giver) - amount
        reason = f"{need.words}; {dollars(amount)} from {giver.name}, which keeps {dollars(left)} that are free"
        # Of an earlier version, moves may be gone that took the numbers before.
        name = event_id(f"{rule.name}/{window.label}", after=f"/v{self.policy.version}/{moved.times + 1}")
        return WantedMove(name, giver.name, taker.name, amount, window.end_ms, rule.name, None, reason)

    def _givers(self, rule: Rule, taker: Budget, window: Window) -> list[Budget]:
        """Where a rule may take from: the reserve it names; or siblings, the least important and the richest first."""
        if rule.take_from != SIBLINGS:
            return [self.budgets[rule.take_from]]
        own = rank(self.documents[taker.name].priority)
        near = [each.name for each in siblings_of(self.documents[taker.name], self.written.budgets)]
        willing = [name for name in near if self._gives(rule, name, own, window)]
        willing.sort(key=lambda name: (rank(self.documents[name].priority), -self._spare(self.budgets[name]), name))
        return [self.budgets[name] for name in willing]

    def _gives(self, rule: Rule, name: str, taker_rank: int, window: Window) -> bool:
        """A sibling gives to a more important one; to its like only while it would not be in need itself."""
        own = rank(self.documents[name].priority)
        if own != taker_rank:
            return own < taker_rank
        budget = self.budgets[name]
        gone = self.given[name] + _step(rule, budget)
        need = need_of(rule, budget, self._stand(budget), window, self.now_ms, -gone)
        return need is not None and not need.holds

    def _spare(self, giver: Budget) -> int:
        stand, written = self._stand(giver), self.documents[giver.name]
        room = free(giver.limit_at(self.now_ms), giver.tiers.hard_bp, stand.committed_nanousd)
        return max(0, min(room, sparing(giver, written, self.now_ms)) - self.given[giver.name])

    def _takes(self, taker: Budget) -> int | None:
        most = taking(taker, self.documents[taker.name], self.now_ms)
        own = plain_limit(taker, self.now_ms)
        above = [plain_limit(each, self.now_ms) - own for each in parents(self.policy.budgets, taker)]
        return min([*above, *([] if most is None else [most])], default=None)

    def _allowed(self, giver: Budget, taker: Budget, amount: int) -> bool:
        try:
            check_bounds(self.policy, self.written, giver, taker, amount, self.now_ms)
        except Refused:
            return False
        return True

    def _stand(self, budget: Budget) -> Stand:
        return self.stands.get(budget.name, NOTHING)


class _MovedBy:
    """What one rule has moved, and wants to, in a window."""

    def __init__(
        self, rule: Rule, window: Window, moves: Iterable[GrantedMove], planned: Iterable[WantedMove], now_ms: int
    ) -> None:
        own = [each for each in moves if each.rule == rule.name and each.returns is None]
        within = [each for each in own if each.ends_ms == window.end_ms]
        more = [each.amount_nanousd for each in planned if each.rule == rule.name and each.ends_ms == window.end_ms]
        amounts = [*(parse_usd(each.amount_usd) for each in within), *more]
        self._rule, self._now_ms, self._amount, self.times = rule, now_ms, sum(amounts), len(amounts)
        self._latest = {each.to_budget: each.since_ms for each in within}

    @property
    def left(self) -> int | None:
        """What the rule may still move; None: there is no most."""
        return None if self._rule.most_usd is None else max(0, parse_usd(self._rule.most_usd) - self._amount)

    def rests(self, taker: str) -> bool:
        """Whether it moved to this budget so lately that it is to see first what came of it."""
        latest = self._latest.get(taker)
        return latest is not None and self._now_ms - latest < self._rule.cooldown_ms


def _step(rule: Rule, taker: Budget) -> int:
    if rule.step_usd is not None:
        return parse_usd(rule.step_usd)
    assert rule.step_bp is not None, "a rule has a step"
    return taker.limit_nanousd * rule.step_bp // BASIS_POINTS
