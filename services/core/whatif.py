"""What a policy would have done with the requests of the past: the enforcer's own decision, over what was really used.

One enforcer alone, that knows every balance at once and what each request will cost: what is told of tiers and limits
is exact, and nothing is told of waiting for shares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from services.core.ask import Ask
from services.core.decide import Action, Reason, Ruling, decide
from services.core.estimate import Estimate
from services.core.fallback import fall_back
from services.core.judge import Outcome
from services.core.pacing import advance
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook
from services.core.route import Routes, level_scopes
from services.core.standing import Link, Standing
from services.core.window import Window

EVERYTHING: Final = 1 << 62
"""The share of an enforcer that shares with nobody; what the limit leaves of it is for the decision to say."""
TIDY_EVERY: Final = 10_000


class PastRequest(Struct, frozen=True, gc=False, kw_only=True):
    """One request as it is known afterwards: what was asked, and what it used, if it was made.

    `ask` is for the model that was asked for; `provider` and `model` are those that answered. `cost_nanousd` is what it
    was charged in the end (None: unpriced), or for a request that was refused, the most that it could have cost.
    """

    ask: Ask
    at_ms: int
    made: bool
    provider: str | None
    model: str
    cost_nanousd: int | None
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class Verdict(Struct, frozen=True, gc=False):
    """What would have been answered. `cost_nanousd` is None for what would not have been made, or has no price."""

    action: Action
    reason: Reason
    model: str
    cost_nanousd: int | None
    budget: str | None

    @property
    def made(self) -> bool:
        """Whether the request would have been made."""
        return self.action in (Action.ALLOW, Action.FALLBACK)


class Rerun:
    """One policy over the requests of one organization, oldest first; balances start empty."""

    def __init__(self, policy: CompiledPolicy, prices: PriceBook) -> None:
        self._policy, self._prices, self._routes = policy, prices, Routes(policy)
        self._standings: dict[str, tuple[Standing, Window]] = {}
        self._chains: dict[tuple[object, ...], list[Link]] = {}
        self._seen = 0

    def adopt(self, policy: CompiledPolicy) -> None:
        """Decide by another policy of the organization from now on; balances stay."""
        self._policy, self._routes = policy, Routes(policy)
        self._chains.clear()

    def settled_nanousd(self, key: str) -> int:
        """What a balance has come to; 0 for one that nothing was counted in."""
        found = self._standings.get(key)
        return 0 if found is None else found[0].settled_nanousd

    def count(self, request: PastRequest) -> None:
        """Let a request be as it was: it counts, and nobody decides about it."""
        if request.made and request.cost_nanousd is not None:
            for link in self._chain(request.ask, request.at_ms):
                link.standing.settled_nanousd += request.cost_nanousd

    def offer(self, request: PastRequest) -> Verdict:
        """Decide a request, and count what it would have cost."""
        first = self._rule(request, request.ask)
        ruling = first
        if first.judged is not None and self._policy.substitutes:
            ruling = fall_back(first, lambda model: self._rule(request, self._ask_on(request, model)))
        binding = ruling.binding
        verdict = Verdict(
            ruling.action,
            ruling.reason,
            ruling.ask.model,
            ruling.estimate.nanousd if ruling.action in (Action.ALLOW, Action.FALLBACK) else None,
            None if binding is None else binding.link.budget.name,
        )
        if verdict.made:
            self._spend(ruling, request.at_ms)
        self._tidy(request.at_ms)
        return verdict

    def _ask_on(self, request: PastRequest, model: str) -> Ask:
        return request.ask.on(self._prices.provider_for(request.ask.provider, model), model)

    def _rule(self, request: PastRequest, ask: Ask) -> Ruling:
        chain = self._chain(ask, request.at_ms)
        return decide(ask, self._estimate(request, ask), chain, self._policy.requests, request.at_ms, final=True)

    def _estimate(self, request: PastRequest, ask: Ask) -> Estimate:
        """What it cost where it was made; elsewhere what the same tokens cost, at the prices of that time."""
        output = request.output_tokens if request.made else ask.max_output_tokens or 0
        if ask.model == request.model:
            return Estimate(request.cost_nanousd, output)
        if not request.made:
            bound = self._prices.upper_bound(
                ask.provider, ask.model, request.at_ms, input_tokens=ask.input_tokens, max_output_tokens=output
            )
            return Estimate(bound, output)
        price = self._prices.price(
            ask.provider,
            ask.model,
            request.at_ms,
            input_tokens=ask.input_tokens,
            output_tokens=output,
            cache_read_tokens=request.cache_read_tokens,
            cache_write_tokens=request.cache_write_tokens,
            reasoning_tokens=request.reasoning_tokens,
        )
        return Estimate(None if price is None else price.total_nanousd, output)

    def _chain(self, ask: Ask, at_ms: int) -> list[Link]:
        key = self._routes.cache_key(ask, at_ms)
        chain = self._chains.get(key)
        if chain is None:
            chain = self._chains[key] = [
                Link.of(budget, slot.scope, slot.window, self._standing(slot.key, slot.window))
                for slot in self._routes.slots(ask, at_ms)
                for budget in slot.budgets
            ]
        return chain

    def _standing(self, key: str, window: Window) -> Standing:
        found = self._standings.get(key)
        if found is None:
            found = self._standings[key] = Standing(granted_nanousd=EVERYTHING, wanted_nanousd=EVERYTHING), window
        return found[0]

    def _spend(self, ruling: Ruling, at_ms: int) -> None:
        cost = ruling.estimate.nanousd or 0
        for judgement in ruling.judgements:
            standing = judgement.link.standing
            if judgement.outcome is Outcome.GRACE and not standing.grace_from_ms:
                standing.grace_from_ms = at_ms
        for standing, interval_us in ruling.paced:
            standing.paced_until_us = advance(standing.paced_until_us, interval_us, at_ms)
        for standing in {id(link.standing): link.standing for link in ruling.chain}.values():
            standing.settled_nanousd += cost

    def _tidy(self, at_ms: int) -> None:
        """Forget the windows that are over: requests come in the order of their times."""
        self._seen += 1
        if self._seen % TIDY_EVERY == 0:
            over = [key for key, (_, window) in self._standings.items() if (window.end_ms or at_ms) < at_ms]
            for key in over:
                del self._standings[key]
            self._chains.clear()


@dataclass(slots=True)
class Totals:
    """Requests by what was answered, and money in nano-dollars.

    `spent`: on requests that were made then too; `regained`: at most, on those that were refused then. `spared` is
    what was spent then on requests that would not have been made, `saved` what cheaper models would have cost less.
    """

    requests: int = 0
    actions: Counter[Action] = field(default_factory=Counter)
    unpriced: int = 0
    was_nanousd: int = 0
    spent_nanousd: int = 0
    regained_nanousd: int = 0
    spared_nanousd: int = 0
    saved_nanousd: int = 0

    def add(self, request: PastRequest, verdict: Verdict) -> None:
        """Count one request and its verdict."""
        was = (request.cost_nanousd or 0) if request.made else 0
        cost = verdict.cost_nanousd or 0
        self.requests += 1
        self.actions[verdict.action] += 1
        self.was_nanousd += was
        self.unpriced += verdict.made and verdict.cost_nanousd is None
        if not verdict.made:
            self.spared_nanousd += was
        elif request.made:
            self.spent_nanousd += cost
            self.saved_nanousd += was - cost
        else:
            self.regained_nanousd += cost


@dataclass(slots=True)
class Account:
    """What a policy would have done: in all, for each scope of the levels, by binding budget, and by model."""

    all: Totals = field(default_factory=Totals)
    scopes: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    budgets: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))
    models: defaultdict[str, Totals] = field(default_factory=lambda: defaultdict(Totals))

    def add(self, request: PastRequest, verdict: Verdict) -> None:
        """Count one request and its verdict, wherever it belongs."""
        totals = [self.all, self.models[verdict.model], *[self.scopes[scope] for scope in level_scopes(request.ask)]]
        if verdict.budget is not None and verdict.action is not Action.ALLOW:
            totals.append(self.budgets[verdict.budget])
        for each in totals:
            each.add(request, verdict)


def account(policies: Sequence[CompiledPolicy], prices: PriceBook) -> list[tuple[Rerun, Account]]:
    """A rerun and an empty account for each policy, to be fed side by side."""
    return [(Rerun(policy, prices), Account()) for policy in policies]
