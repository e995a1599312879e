"""A decision derived again from what it says it knew: if anything that decided it is missing, it comes out otherwise.

What it takes besides: the policy of its version, and the prices of its price version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.ask import Ask
from services.core.decide import Action, Ruling, decide
from services.core.decision import Attempt, BudgetLine, Decision
from services.core.estimate import estimate
from services.core.events import to_ms, to_us
from services.core.explain import Known, explain
from services.core.fallback import fall_back
from services.core.money import parse_usd
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook
from services.core.standing import Link, Standing
from services.core.window import window_of_label


class NotDerivable(ValueError):
    """The decision cannot be derived from this policy and these prices; the message says why."""


def rederive(decision: Decision, policy: CompiledPolicy, prices: PriceBook) -> Decision:
    """What would be decided from what the decision knew; equal to it, if it was decided by this code.

    Raises `NotDerivable` for a policy or prices of another version, and for budgets that the policy does not have.
    """
    if (decision.policy_version, decision.price_version) != (policy.version, prices.version):
        raise NotDerivable(
            f"decided by policy version {decision.policy_version} and {decision.price_version}, "
            f"given are {policy.version} and {prices.version}"
        )
    derived = _Derivation(decision, policy, prices)
    known = Known(policy.version, decision.ledger, prices, decision.stale_ms)
    brief = decision.detail == "brief"
    return explain(derived.ruling(), decision.decision, known, decision.reservation, brief=brief)


class _Derivation:
    """The rulings that a decision came from: on the model that was asked for, and on each other that was tried."""

    def __init__(self, decision: Decision, policy: CompiledPolicy, prices: PriceBook) -> None:
        self._decision, self._policy, self._prices = decision, policy, prices
        self._at_ms = to_ms(decision.decided_at)
        self._budgets = {budget.name: budget for budget in policy.budgets}

    def ruling(self) -> Ruling:
        """What was answered."""
        decision = self._decision
        looked_at: dict[str, Attempt | Decision] = {attempt.model: attempt for attempt in decision.tried}
        looked_at[decision.model] = decision
        requested = decision.requested_model or decision.model
        first = self._rule(looked_at[requested])
        if first.lacking or (first.judged is None and first.action is Action.ALLOW):
            return first
        substitutes = [model for model in self._policy.substitutes if model in looked_at]
        return fall_back(first, lambda model: self._rule_on(looked_at, model), substitutes)

    def _rule_on(self, looked_at: Mapping[str, Attempt | Decision], model: str) -> Ruling:
        found = looked_at.get(model)
        if found is None:
            raise NotDerivable(f"{model} is offered by the policy, and the decision does not say that it was tried")
        return self._rule(found)

    def _rule(self, found: Attempt | Decision) -> Ruling:
        decision, caps = self._decision, self._policy.requests
        asked = Ask(
            organization=decision.organization,
            project=decision.project,
            team=decision.team,
            user=decision.user,
            provider=found.provider,
            model=found.model,
            tags=decision.tags,
            max_output_tokens=found.max_output_tokens,
            priority=decision.priority,
            dry_run=decision.dry_run,
            estimated_from=decision.estimated_from,
            input_tokens=found.input_tokens,
        )
        bound = estimate(asked, caps, self._prices, self._at_ms)
        return decide(
            asked,
            bound,
            self._chain(found.budgets),
            caps,
            self._at_ms,
            fresh=not decision.lease_over,
            final=decision.final,
            enforcers=decision.enforcers,
        )

    def _chain(self, lines: Sequence[BudgetLine]) -> list[Link]:
        return [self._link(line) for line in lines]

    def _link(self, line: BudgetLine) -> Link:
        budget = self._budgets.get(line.budget)
        if budget is None:
            raise NotDerivable(f"the policy has no budget {line.budget!r}")
        return Link.of(budget, line.scope, window_of_label(line.window, self._policy.zone), standing_of(line))


def standing_of(line: BudgetLine) -> Standing:
    """The balance that a line tells of, as far as it says."""
    settled, held = parse_usd(line.settled_usd), parse_usd(line.reserved_usd)
    granted = held + (0 if line.share_usd is None else parse_usd(line.share_usd))
    committed = settled if line.committed_usd is None else parse_usd(line.committed_usd)
    return Standing(
        settled_nanousd=settled,
        held_nanousd=held,
        granted_nanousd=granted,
        wanted_nanousd=granted + line.refused,
        asked=1,
        answered=1,
        graced=int(line.grace_refused),
        outstanding_nanousd=committed - settled,
        grace_from_ms=0 if line.grace_from is None else to_ms(line.grace_from),
        paced_until_us=0 if line.paced_until is None else to_us(line.paced_until),
    )
