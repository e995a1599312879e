"""What a person reads about a decision: everything that it was decided from, exact, in whatever width there is."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import msgspec
import pytest
from rich.console import Console

from services.cli.errors import CliError
from services.cli.explanation import BINDING, Explanation
from services.cli.finding import Found
from services.core.decide import Action, Reason
from services.core.decision import Attempt, BudgetLine, Decision, Hold, LedgerPosition

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def line(**changed: Any) -> BudgetLine:
    said: dict[str, Any] = {
        "budget": "search-day",
        "scope": "org:acme/project:search",
        "window": "day:2026-11-24",
        "window_ends_at": NOON,
        "limit_usd": "1.00",
        "settled_usd": "0.983",
        "reserved_usd": "0.01",
        "remaining_usd": "0.007",
        "utilization": 1.0155,
        "tier": "hard",
        "binding": True,
    }
    return BudgetLine(**said | changed)


def denied(**changed: Any) -> Decision:
    said: dict[str, Any] = {
        "decision": "dec-enforcer-1f0c9a2b-mie8k3x9-1",
        "action": Action.DENY,
        "tier": "hard",
        "reason": Reason.BUDGET_EXCEEDED,
        "message": "search-day has 0.007 USD left in day:2026-11-24, the request may cost 0.0225 USD",
        "warnings": [],
        "organization": "acme",
        "project": "search",
        "user": "alice",
        "provider": "openai",
        "model": "gpt-4o",
        "tags": {"feature": "[bold]answers[/bold]"},
        "priority": "high",
        "input_tokens": 1000,
        "max_output_tokens": 2000,
        "estimate_usd": "0.0225",
        "budgets": [line(), line(budget="month", scope="org:acme", binding=False, tier="normal", utilization=None)],
        "remedies": ["fits if max_output_tokens <= 450"],
        "policy_version": 7,
        "price_version": "genai-prices/0.2.3+0123abcd",
        "ledger": LedgerPosition(partition=2, offset=4711),
        "decided_at": NOON,
        "stale_ms": 12,
    }
    return Decision(**said | changed)


def shown(decision: Decision, width: int = 200) -> str:
    out = StringIO()
    Console(file=out, width=width).print(Explanation(decision, "ClickHouse"))
    return out.getvalue()


def test_a_denial_says_what_was_asked_why_what_would_help_and_what_was_known() -> None:
    text = shown(denied())
    for part in (
        "denied  budget exceeded",
        "search-day has 0.007 USD left",
        "gpt-4o of openai, by organization acme, project search, user alice, tag feature [bold]answers[/bold]",
        "priority high",
        "1,000 tokens in, at most 2,000 out",
        "at most $0.0225",
        "• fits if max_output_tokens <= 450",
        "dec-enforcer-1f0c9a2b-mie8k3x9-1, 2026-11-24 12:00:00",
        "policy version 7, prices genai-prices/0.2.3+0123abcd, the ledger up to 2:4711, at most 12 ms old",
        "ClickHouse",
    ):
        assert part in text, (part, text)


@pytest.mark.parametrize("width", [80, 200])
def test_the_binding_budget_is_marked_and_amounts_are_exact(width: int) -> None:
    text = shown(denied(), width)
    (marked,) = [row for row in text.splitlines() if row.split()[:1] == [BINDING] and "day:" in row]
    for part in ("search-day", "day:2026-11-24", "$1.00", "$0.007", "101.5%", "hard"):
        assert part in marked
    (other,) = [row for row in text.splitlines() if row.split()[:1] == ["month"]]
    assert "100.0%" in other, "a limit of zero is full"
    assert "window ends at 2026-11-24 12:00:00 UTC" in text
    assert max(map(len, text.splitlines())) <= width


def test_the_own_share_shows_where_there_is_one() -> None:
    assert "own share" not in shown(denied())
    text = shown(denied(budgets=[line(share_usd="0.0041", refused=True, remaining_usd="-0.25")]))
    for part in ("own share", "$0.0041", "-$0.25", "no more room for this enforcer"):
        assert part in text


def test_a_brief_decision_says_that_it_tells_of_one_budget() -> None:
    assert "were not asked for" not in shown(denied())
    assert "the others were not asked for" in shown(denied(budgets=[line()], detail="brief"))


def test_an_allowed_request_says_so_and_what_was_reserved_for_it() -> None:
    hold = Hold(id="rsv-enforcer-1f0c9a2b-mie8k3x9-1", estimate_usd="0.0225", expires_at=NOON)
    fine = {"action": Action.ALLOW, "reason": Reason.WITHIN_BUDGET, "message": "", "remedies": [], "reservation": hold}
    text = shown(denied(**fine, estimated_from="messages", warnings=["search-day is nearly spent"]))
    for part in ("allowed  within budget", "has room", hold.id, "bounded from its messages", "• search-day is nearly"):
        assert part in text
    assert "what would help" not in text
    assert "a dry run" in shown(denied(dry_run=True))


def test_other_models_that_were_looked_at_are_shown_with_their_budgets() -> None:
    attempt = Attempt(
        model="gpt-4o",
        action=Action.DENY,
        tier="hard",
        reason=Reason.BUDGET_EXCEEDED,
        input_tokens=1000,
        max_output_tokens=2000,
        estimate_usd="0.0225",
        budgets=[line(budget="only-large-models")],
    )
    text = shown(
        denied(action=Action.FALLBACK, reason=Reason.FELL_BACK, model="mini", requested_model="gpt-4o", tried=[attempt])
    )
    for part in ("allowed on another model", "gpt-4o, given mini", "gpt-4o: denied, budget exceeded", "only-large-mod"):
        assert part in text


def test_what_is_not_known_is_said() -> None:
    nothing = LedgerPosition(partition=0, offset=-1)
    text = shown(denied(policy_version=0, ledger=nothing, estimate_usd=None, budgets=[], lease_over=True, enforcers=3))
    for part in ("no policy", "nothing of the ledger", "no price", "for too long", "3 enforcers alive"):
        assert part in text


def test_grace_pace_and_monitoring_have_their_notes() -> None:
    text = shown(denied(budgets=[line(grace_from=NOON, grace_refused=True), line(paced_until=NOON, on_hard="monitor")]))
    for part in ("grace was opened at 2026-11-24 12:00:00 UTC, and has no room left", "only monitors", "earned by"):
        assert part in text


def test_throttled_requests_say_when_to_come_again() -> None:
    assert "in 1,200 ms" in shown(denied(action=Action.THROTTLE, reason=Reason.PACED, retry_after_ms=1200))


def test_a_decision_of_a_newer_version_is_refused_with_advice() -> None:
    document = msgspec.to_builtins(denied())
    assert Found(document | {"unheard_of": 1}, "ClickHouse").decision() == denied()
    with pytest.raises(CliError, match="cannot read") as refused:
        Found(document | {"action": "negotiate"}, "ClickHouse").decision()
    assert refused.value.advice is not None
    assert "--json" in refused.value.advice
