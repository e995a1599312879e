"""A decision is derived again from the policy that it was made by, whichever boosts that had then."""

from __future__ import annotations

import msgspec
import pytest

from services.cli.verification import PastPolicy, differences
from services.core.decide import Action, decide
from services.core.decision import Decision, LedgerPosition
from services.core.effects import GrantedBoost, PolicyEntry
from services.core.estimate import estimate
from services.core.explain import Known, explain
from services.core.pricing import PriceBook
from services.core.rederive import NotDerivable
from services.core.standing import Link, Standing
from services.core.window import window_at
from tests.core.chains import NOW_MS, ask

PRICES = PriceBook.bundled()
POLICY = {"organization": "acme", "budgets": [{"name": "day", "limit_usd": "0.02", "window": "day"}]}
BOOST = GrantedBoost(budget="day", amount_usd="1", until_ms=NOW_MS + 1, by="test", reason="")


def past(version: int, offset: int, limit_usd: str = "0.02", *boosts: GrantedBoost) -> PastPolicy:
    policy = {**POLICY, "budgets": [{"name": "day", "limit_usd": limit_usd, "window": "day"}]}
    return PastPolicy.of(
        PolicyEntry(
            organization="acme", version=version, policy=policy, by="test", reason="", offset=offset, boosts=boosts
        )
    )


PLAIN, BOOSTED, LATER = past(1, 10), past(1, 20, "0.02", BOOST), past(2, 30, "0.01")
EVER = [PLAIN, BOOSTED, LATER]


def made(by: PastPolicy, *, known_offset: int) -> Decision:
    policy = by.policy
    (budget,) = policy.budgets
    asked = ask(max_output_tokens=2000)
    amount = estimate(asked, policy.requests, PRICES, NOW_MS)
    standing = Standing(granted_nanousd=10**9, wanted_nanousd=10**9, asked=1, answered=1)
    link = Link.of(budget, "org:acme", window_at(budget.window, NOW_MS, policy.zone), standing)
    ruling = decide(asked, amount, [link], policy.requests, NOW_MS)
    ledger = LedgerPosition(partition=0, offset=known_offset)
    return explain(ruling, "dec-e-1-1", Known(policy.version, ledger, PRICES, 0))


@pytest.mark.parametrize("known_offset", [9, 15, 25])
@pytest.mark.parametrize("by", [PLAIN, BOOSTED, LATER])
def test_what_was_known_need_not_be_what_the_ledger_had_last(by: PastPolicy, known_offset: int) -> None:
    decision = made(by, known_offset=known_offset)
    assert (decision.action is Action.ALLOW) == (by is BOOSTED)
    assert differences(decision, EVER, PRICES) == []


def test_each_field_that_comes_out_otherwise_is_named() -> None:
    decision = made(BOOSTED, known_offset=25)
    told = msgspec.structs.replace(decision, action=Action.DENY, estimate_usd="1.00")
    different = differences(told, EVER, PRICES)
    assert [found.field for found in different] == ["action", "estimate_usd"]
    assert str(different[0]) == 'action: recorded "deny", derived "allow"'


def test_it_is_not_derived_from_another_policy() -> None:
    decision = made(BOOSTED, known_offset=25)
    assert {found.field for found in differences(decision, [PLAIN], PRICES)} >= {"action", "budgets"}
    with pytest.raises(NotDerivable, match="no policy version 1 of acme"):
        differences(decision, [LATER], PRICES)


def test_without_a_policy_nothing_is_looked_for() -> None:
    asked = ask(max_output_tokens=10)
    caps = PLAIN.policy.requests
    ruling = decide(asked, estimate(asked, caps, PRICES, NOW_MS), [], caps, NOW_MS)
    decision = explain(ruling, "dec-e-1-1", Known(0, LedgerPosition(partition=0, offset=-1), PRICES))
    assert differences(decision, [], PRICES) == []
