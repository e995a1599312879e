"""The fold, case by case: what counts, where, once, and what is refused."""

from __future__ import annotations

import json

import pytest

from services.core.balance import DAY_MS, HORIZON_MS, HOUR_MS
from services.core.money import parse_usd
from services.core.record import Record
from services.core.reservation import ReservationId
from tests.core.ledger import (
    NOON_MS,
    PRICES,
    Changelog,
    Json,
    budget,
    costing,
    event,
    expiry,
    new_state,
    policy,
    record,
    run,
    settled,
    usage,
)

WHO: Json = {"project": "search", "team": "ranking", "user": "alice"}
TOO_MUCH_CACHED: Json = {"gen_ai.usage.cache_read.input_tokens": 5000}
MONTH = "org:acme@month:2026-11"


def reservation(serial: int = 1, at_ms: int = NOON_MS) -> str:
    return str(ReservationId("enf1", at_ms, serial))


def test_one_request_counts_in_three_windows_of_four_levels() -> None:
    state, effects = run([record(0, costing("0.25", **WHO))])
    scopes = ("org:acme", "org:acme/project:search", "org:acme/project:search/team:ranking", "org:acme/user:alice")
    windows = ("hour:2026-11-24T12:00+00:00", "day:2026-11-24", "month:2026-11")
    assert settled(state) == {f"{scope}@{window}": 250_000_000 for scope in scopes for window in windows}
    assert effects.balances.keys() == settled(state).keys()
    (charge,) = effects.charges
    assert (charge.cost_nanousd, charge.sequence, charge.charge, charge.price_version) == (
        250_000_000,
        1,
        "0-0-0",
        "stated",
    )


def test_levels_that_a_request_does_not_name_are_not_counted() -> None:
    state, _ = run([record(0, costing("1", team="ranking"))])
    assert {key.split("@")[0] for key in settled(state)} == {"org:acme"}


def test_usage_is_priced_at_its_own_time_by_class() -> None:
    _, effects = run([record(0, usage(input_tokens=1000, output_tokens=100))])
    (charge,) = effects.charges
    price = PRICES.price(None, "gpt-4o", NOON_MS, input_tokens=1000, output_tokens=100)
    assert price is not None
    assert charge.cost_nanousd == price.total_nanousd == 3_500_000
    assert (charge.input_cost_nanousd, charge.output_cost_nanousd) == (2_500_000, 1_000_000)
    assert charge.price_version == PRICES.version


def test_an_event_sent_twice_counts_once_in_a_record_across_records_and_after_a_restart() -> None:
    log = Changelog()
    first, effects = run([record(0, costing("1"), costing("1"))])
    log.write(effects)
    second, effects = run([record(1, costing("1"))], log.restore())
    assert settled(second) == settled(first)
    assert effects.counts["duplicate"] == 1
    assert not effects.charges


def test_the_same_id_of_another_source_is_another_event() -> None:
    state, _ = run([record(0, costing("1", source="edge-1"), costing("1", source="edge-2"))])
    assert settled(state)[MONTH] == parse_usd("2")


def test_an_explicit_zero_is_a_fact_and_a_missing_count_is_unpriced() -> None:
    state, effects = run([record(0, usage("a", input_tokens=0, output_tokens=0), usage("b", output_tokens=None))])
    assert [charge.cost_nanousd for charge in effects.charges] == [0, None]
    balance = state.tables["organization"][MONTH]  # type: ignore[index]
    assert (balance.settled_nanousd, balance.requests, balance.unpriced) == (0, 2, 1)
    assert effects.charges[1].input_tokens == 1000


def test_an_unknown_model_is_never_priced_at_zero() -> None:
    state, effects = run([record(0, usage(model="nobody-knows-1"))])
    assert effects.charges[0].cost_nanousd is None
    assert state.tables["organization"][MONTH].unpriced == 1  # type: ignore[index]


def test_an_expired_reservation_is_charged_at_its_estimate_until_it_is_settled() -> None:
    rsv = reservation()
    state, effects = run([record(0, expiry(rsv, "0.50", **WHO))])
    balance = state.tables["organization"][MONTH]  # type: ignore[index]
    assert (balance.settled_nanousd, balance.unconfirmed_nanousd, balance.requests) == (500_000_000, 500_000_000, 1)
    state, effects = run([record(1, costing("0.20", "late", reservation=rsv, **WHO))], state)
    assert (balance.settled_nanousd, balance.unconfirmed_nanousd, balance.requests) == (200_000_000, 0, 1)
    (charge,) = effects.charges
    assert (charge.kind, charge.cost_nanousd, charge.requests) == ("adjustment", -300_000_000, 0)


def test_a_late_settlement_corrects_the_balances_where_the_estimate_was_counted() -> None:
    rsv = reservation()
    log = Changelog()
    _, effects = run([record(0, expiry(rsv, "0.50", user="alice"))])
    log.write(effects)
    state, _ = run([record(1, costing("0.20", reservation=rsv, user="bob"))], log.restore())
    assert settled(state)["org:acme/user:alice@month:2026-11"] == 200_000_000
    assert "org:acme/user:bob@month:2026-11" not in settled(state)


def test_a_late_settlement_leaves_alone_the_budgets_that_never_counted_its_estimate() -> None:
    rsv = reservation()
    tagged: Json = {"tags": {"feature": "x"}}
    later = budget("tagged", "100", "day", scope={"tag.feature": "x"})
    records = [
        record(0, policy(budget("model", "100", "day", scope={"model": "gpt-4o"}))),
        record(1, expiry(rsv, "10", **tagged)),
        record(2, policy(later, budget("week", "100", "week"), version=2, timezone="Asia/Tokyo")),
        record(3, costing("1", "late", reservation=rsv, **tagged)),
    ]
    state, _ = run(records)
    amounts = settled(state)
    assert amounts["org:acme/model:gpt-4o@day:2026-11-24"] == parse_usd("1"), "no longer in the policy, still corrected"
    assert amounts["org:acme@week:2026-W48"] == parse_usd("1"), "filled from the days that held the estimate"
    assert amounts["org:acme@hour:2026-11-24T12:00+00:00"] == parse_usd("1"), "in the zone in which it was counted"
    assert "org:acme@hour:2026-11-24T21:00+09:00" not in amounts
    assert "org:acme/tag.feature:x@day:2026-11-24" not in amounts
    assert min(amounts.values()) >= 0


def test_an_expiry_after_the_settlement_is_a_duplicate_and_so_is_a_second_settlement() -> None:
    rsv = reservation()
    events = [
        costing("0.20", "a", reservation=rsv),
        expiry(rsv, "0.50"),
        costing("0.20", "b", source="edge-2", reservation=rsv),
    ]
    state, effects = run([record(offset, each) for offset, each in enumerate(events)])
    assert settled(state)[MONTH] == 200_000_000
    assert effects.counts["duplicate"] == 2


def test_charges_add_up_to_what_is_still_unconfirmed() -> None:
    settled_late, never = reservation(1), reservation(2)
    events = [expiry(settled_late, "0.50"), expiry(never, "0.30"), costing("0.20", reservation=settled_late)]
    state, effects = run([record(offset, each) for offset, each in enumerate(events)])
    assert [charge.unconfirmed_nanousd for charge in effects.charges] == [500_000_000, 300_000_000, -500_000_000]
    assert state.tables["organization"][MONTH].unconfirmed_nanousd == 300_000_000  # type: ignore[index]


def test_an_unpriced_settlement_leaves_the_estimate_standing() -> None:
    rsv = reservation()
    state, _ = run([record(0, expiry(rsv, "0.50")), record(1, usage("s", output_tokens=None, reservation=rsv))])
    balance = state.tables["organization"][MONTH]  # type: ignore[index]
    assert (balance.settled_nanousd, balance.unconfirmed_nanousd, balance.unpriced) == (500_000_000, 500_000_000, 0)


def test_a_reserved_charge_belongs_to_the_window_in_which_it_was_reserved() -> None:
    before, after = NOON_MS - 12 * HOUR_MS - 1000, NOON_MS - 12 * HOUR_MS + 5000
    state, _ = run([record(0, costing("1", at_ms=after, reservation=reservation(1, before)))])
    assert "org:acme@day:2026-11-23" in settled(state)
    assert "org:acme@day:2026-11-24" not in settled(state)


@pytest.mark.parametrize(
    ("what", "reason", "field"),
    [
        (costing("1", at_ms=NOON_MS - HORIZON_MS - 1), "late", "time"),
        (costing("1", at_ms=NOON_MS + 10 * 60_000), "future", "time"),
        (costing("1", reservation=reservation(1, NOON_MS - HORIZON_MS - 1)), "late", "time"),
        (costing("-1"), "invalid_money", "data.cost_usd"),
        (costing("nan"), "invalid_money", "data.cost_usd"),
        (costing("1000000"), "invalid_money", "data.cost_usd"),
        (usage(**TOO_MUCH_CACHED), "inconsistent_usage", None),
        (usage(input_tokens=-1), "malformed", None),
        (usage(input_tokens=10**12), "malformed", None),
        (event("nothing.known", {}), "malformed", None),
        ({"not": "an event"}, "malformed", None),
        ("text", "malformed", None),
        (policy({"name": "x", "limit_usd": "-5", "window": "month"}), "invalid_policy", "data.policy"),
    ],
)
def test_what_cannot_be_counted_is_kept_with_its_reason(what: object, reason: str, field: str | None) -> None:
    state, effects = run([Record(0, 0, NOON_MS, json.dumps([what, costing("1", "good")]).encode())])
    (rejection,) = effects.rejections
    assert (rejection.reason, rejection.field, rejection.ledger_index) == (reason, field, 0)
    assert json.loads(rejection.event) == what
    assert rejection.detail
    assert settled(state)[MONTH] == parse_usd("1"), "the good event beside it counts"


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"{", b'{"a": 1}', b"[" * 100_000, b"null"])
def test_a_record_that_is_no_array_of_events_is_kept_and_the_ledger_goes_on(value: bytes) -> None:
    state, effects = run([Record(0, 0, NOON_MS, value), record(1, costing("1"))])
    assert [rejection.reason for rejection in effects.rejections] == ["malformed"]
    assert state.position.offset == 1
    assert settled(state)[MONTH] == parse_usd("1")


def test_who_takes_an_alert_goes_on_record_once_and_changes_no_balance() -> None:
    seen = event(
        "alert.acknowledged", {"organization": "acme", "alert": "a1", "by": "ada", "note": "on it"}, event_id="ack"
    )
    _, effects = run([record(0, seen, costing("1"), seen)])
    assert (effects.counts["acknowledged"], effects.counts["duplicate"], effects.rejections) == (1, 1, [])
    (entry,) = effects.audit
    assert (entry.action, entry.subject, entry.by, entry.reason) == ("alert.acknowledged", "a1", "ada", "on it")


def test_a_record_at_or_below_the_position_changes_nothing() -> None:
    state, _ = run([record(5, costing("1"))])
    _, effects = run([record(5, costing("1", "other")), record(3, costing("1", "another"))], state)
    assert not effects.balances
    assert effects.position is None


def test_thresholds_fire_once_each_even_when_crossed_together_and_after_a_restart() -> None:
    log = Changelog()
    _, effects = run([record(0, policy(budget("company", "10"))), record(1, costing("8"))])
    log.write(effects)
    assert [(alert.budget, alert.threshold, alert.severity) for alert in effects.alerts] == [
        ("company", "0.5", "info"),
        ("company", "0.75", "warning"),
    ]
    _, effects = run([record(2, costing("1", "b")), record(3, costing("1", "c"))], log.restore())
    assert [alert.threshold for alert in effects.alerts] == ["0.9", "1.0"]
    assert effects.alerts[-1].settled_usd == "10.00"
    assert effects.alerts[-1].alert == f"company/{MONTH}/10000"


def test_each_user_has_a_balance_of_a_star_budget_and_the_exact_one_replaces_it() -> None:
    budgets = (
        budget("each", "10", "day", scope={"user": "*"}),
        budget("alice", "100", "day", scope={"user": "alice"}),
    )
    events = [costing("9", f"e-{user}", user=user) for user in ("alice", "bob")]
    _, effects = run([record(0, policy(*budgets)), record(1, *events)])
    assert {(alert.budget, alert.scope) for alert in effects.alerts} == {("each", "org:acme/user:bob")}


def test_a_budget_on_a_tag_and_a_model_counts_only_what_matches_both() -> None:
    scope = {"model": "gpt-4o", "tag.feature": "autocomplete"}
    matching = costing("1", "a", tags={"feature": "autocomplete"})
    others = [costing("1", "b"), costing("1", "c", model="gpt-4o-mini", tags={"feature": "autocomplete"})]
    state, _ = run([record(0, policy(budget("auto", "5", "hour", scope=scope))), record(1, matching, *others)])
    key = "org:acme/model:gpt-4o/tag.feature:autocomplete@hour:2026-11-24T12:00+00:00"
    assert state.tables["budget"][key].settled_nanousd == parse_usd("1")  # type: ignore[index]


def test_a_policy_must_follow_the_version_in_force() -> None:
    again = policy(budget("b", "2"), version=2)
    again["id"] = "another"
    state, effects = run([record(0, policy(budget("a", "1"), version=2)), record(1, again)])
    assert [rejection.reason for rejection in effects.rejections] == ["stale_policy"]
    entry = state.organization("acme").entry
    assert entry is not None
    assert entry.policy["budgets"][0]["name"] == "a"


def test_a_policy_of_another_organization_is_refused() -> None:
    change = policy(budget("a", "1"))
    change["data"]["organization"] = "victim"
    _, effects = run([record(0, change)])
    assert [rejection.reason for rejection in effects.rejections] == ["invalid_policy"]


def test_a_boost_raises_the_limit_until_it_ends() -> None:
    boost = {
        "organization": "acme",
        "budget": "company",
        "amount_usd": "10",
        "until": "2026-11-24T13:00:00Z",
        "by": "cfo",
    }
    state, effects = run(
        [
            record(0, policy(budget("company", "10"))),
            record(1, event("boost.granted", boost, event_id="boost")),
            record(2, costing("9")),
        ]
    )
    assert not effects.alerts, "9 of 20 dollars is below every threshold"
    _, effects = run([record(3, costing("0.50", "b", at_ms=NOON_MS + 2 * HOUR_MS), at_ms=NOON_MS + 2 * HOUR_MS)], state)
    assert [alert.threshold for alert in effects.alerts] == ["0.5", "0.75", "0.9"]


def test_a_boost_of_a_budget_that_does_not_exist_is_refused() -> None:
    boost = {"organization": "acme", "budget": "none", "amount_usd": "1", "until": "2026-11-25T00:00:00Z", "by": "cfo"}
    _, effects = run(
        [record(0, policy(budget("company", "10"))), record(1, event("boost.granted", boost, event_id="boost"))]
    )
    assert [rejection.reason for rejection in effects.rejections] == ["unknown_budget"]


def test_a_budget_applied_in_mid_quarter_counts_what_the_quarter_has_spent_so_far() -> None:
    state, _ = run(
        [
            record(0, costing("4", user="alice")),
            record(1, policy(budget("quarter", "100", "quarter"), budget("week", "9", "week", scope={"user": "*"}))),
            record(2, costing("1", "b", user="alice")),
        ]
    )
    assert settled(state)["org:acme@quarter:2026-Q4"] == parse_usd("5")
    assert settled(state)["org:acme/user:alice@week:2026-W48"] == parse_usd("5")


def test_a_correction_changes_the_windows_of_its_charge_that_are_still_kept() -> None:
    correction = {
        "organization": "acme",
        "gen_ai.request.model": "gpt-4o",
        "charge": "0-0-0",
        "charged_at": "2026-11-24T12:00:00Z",
        "previous_cost_usd": "1.00",
        "cost_usd": "0.75",
        "reason": "invoice",
    }
    later = NOON_MS + 10 * DAY_MS
    state, _ = run([record(0, costing("1"))])
    _, effects = run([record(1, event("usage.corrected", correction, event_id="c", at_ms=later), at_ms=later)], state)
    assert settled(state)[MONTH] == parse_usd("0.75")
    assert not any("@hour:" in key for key in settled(state)), "hours are gone after ten days, and stay gone"
    assert (effects.charges[0].kind, effects.charges[0].cost_nanousd) == ("correction", -250_000_000)


def test_a_correction_leaves_alone_a_budget_that_came_after_the_charge() -> None:
    correction = {
        "organization": "acme",
        "gen_ai.request.model": "gpt-4o",
        "charge": "0-0-0",
        "charged_at": "2026-11-24T12:00:00Z",
        "previous_cost_usd": "1.00",
        "cost_usd": "0.25",
        "reason": "invoice",
    }
    state, _ = run(
        [
            record(0, costing("1")),
            record(1, policy(budget("model", "100", "day", scope={"model": "gpt-4o"}))),
            record(2, costing("2", "b")),
            record(3, event("usage.corrected", correction, event_id="c0")),
            record(4, event("usage.corrected", correction | {"charge": "0-2-0"}, event_id="c2")),
        ]
    )
    assert settled(state)[MONTH] == parse_usd("1.50")
    assert settled(state)["org:acme/model:gpt-4o@day:2026-11-24"] == parse_usd("1.25")


def test_a_correction_prices_what_was_unpriced() -> None:
    correction = {
        "organization": "acme",
        "gen_ai.request.model": "mystery",
        "charge": "0-0-0",
        "charged_at": "2026-11-24T12:00:00Z",
        "cost_usd": "0.75",
        "reason": "price known now",
    }
    state, _ = run([record(0, usage(model="mystery")), record(1, event("usage.corrected", correction, event_id="c"))])
    balance = state.tables["organization"][MONTH]  # type: ignore[index]
    assert (balance.settled_nanousd, balance.unpriced) == (parse_usd("0.75"), 0)


def test_old_windows_leave_the_tables_and_the_changelog() -> None:
    later = NOON_MS + 6 * DAY_MS
    state, _ = run([record(0, costing("1"))])
    _, effects = run([record(1, costing("1", "b", at_ms=later), at_ms=later)], state)
    removed = [key for key, value in effects.balances.items() if value is None]
    assert removed == ["org:acme@hour:2026-11-24T12:00+00:00"]
    assert settled(state)[MONTH] == parse_usd("2")


def test_seen_events_are_remembered_as_long_as_a_duplicate_could_be_accepted() -> None:
    state, _ = run([record(0, costing("1"))])
    edge = NOON_MS + HORIZON_MS
    _, effects = run([record(1, costing("1"), at_ms=edge)], state)
    assert effects.counts["duplicate"] == 1
    _, effects = run([record(2, costing("1"), at_ms=edge + 10 * 60_000)], state)
    assert [rejection.reason for rejection in effects.rejections] == ["late"]
    assert effects.seen == {0: None}
    assert len(state.seen) == 0


def test_the_ledger_clock_never_goes_back() -> None:
    state, _ = run([record(0, costing("1")), record(1, costing("1", "b"), at_ms=NOON_MS - HOUR_MS)])
    assert state.position.clock_ms == NOON_MS


def test_an_organization_that_was_never_heard_of_is_counted() -> None:
    state = new_state()
    run([record(0, costing("1", organization="new"))], state)
    assert "org:new@month:2026-11" in settled(state)
