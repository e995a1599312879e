"""Who is told of what and when: by table, and as properties that hold for any policy."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import parse_policy
from services.core.events import to_ms
from services.core.foresight_events import Anomaly, Contributor, Forecast
from services.core.notifying import (
    ATTEMPTS_MAX,
    Contact,
    Notice,
    Waiting,
    bundle,
    contacts_of,
    next_look_ms,
    of_alert,
    of_anomaly,
    plan,
    redacted,
    retry_after_ms,
    tell,
)
from services.core.notifying.due import TOGETHER_MAX
from services.core.outcomes import Alert

BERLIN = ZoneInfo("Europe/Berlin")
NOON_MS = to_ms(datetime(2026, 11, 24, 12, tzinfo=BERLIN))
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
OPS, BOSS, CHAT = "mailto:ops@acme.example", "mailto:boss@acme.example", "slack://A/B/C"
SEVERITIES = ("info", "warning", "critical")


def alert(**changed: Any) -> Alert:
    """A budget that has reached nine tenths."""
    told: dict[str, Any] = {
        "alert": "all/org:acme@month:2026-11/9000",
        "organization": "acme",
        "budget": "all",
        "scope": "org:acme",
        "window": "month:2026-11",
        "threshold": "0.9",
        "severity": "warning",
        "settled_usd": "45000.5",
        "limit_usd": "50000",
        "raised_at_ms": NOON_MS,
        "ledger_partition": 0,
        "ledger_offset": 7,
    }
    return Alert(**{**told, **changed})


def notice(**changed: Any) -> Notice:
    """What such an alert leads to."""
    return of_alert(alert(**changed))


def contacts(*written: dict[str, Any]) -> tuple[Contact, ...]:
    """The contacts of a policy of somebody in Berlin."""
    budgets = [{"name": name, "limit_usd": "5", "window": "month"} for name in ("all", "other")]
    document = {"organization": "acme", "timezone": "Europe/Berlin", "budgets": budgets, "contacts": list(written)}
    return contacts_of(parse_policy(document))


def told(written: dict[str, Any], **changed: Any) -> list[tuple[str, int, int]]:
    """Channel, step, and minutes after the alert."""
    about = notice(**changed)
    found = plan(about, contacts({"budget": "all", "notify": [OPS], **written}))
    return [(each.channel, each.step, (each.due_ms - about.raised_at_ms) // MINUTE_MS) for each in found]


def test_everybody_who_is_named_is_told_at_once() -> None:
    assert told({"notify": [OPS, CHAT]}) == [(OPS, 0, 0), (CHAT, 0, 0)]


def test_who_is_next_is_told_later_and_the_one_after_later_still() -> None:
    assert told({"escalate_after": "30m", "to": [BOSS, CHAT]}) == [(OPS, 0, 0), (BOSS, 1, 30), (CHAT, 2, 60)]


@pytest.mark.parametrize(("severity", "heard"), [("info", 0), ("warning", 1), ("critical", 1)])
def test_a_contact_hears_of_what_is_severe_enough(severity: str, heard: int) -> None:
    assert len(told({"min_severity": "warning"}, severity=severity)) == heard


def test_a_budgets_own_contact_replaces_the_one_for_any() -> None:
    written = contacts({"budget": "*", "notify": [BOSS]}, {"budget": "all", "notify": [OPS]})
    assert [each.channel for each in plan(notice(), written)] == [OPS]
    assert [each.channel for each in plan(notice(budget="other"), written)] == [BOSS]


def test_a_channel_that_two_contacts_name_is_told_once_and_at_the_earliest() -> None:
    written = contacts(
        {"budget": "all", "notify": [OPS], "escalate_after": "30m", "to": [BOSS]},
        {"budget": "all", "notify": [BOSS]},
    )
    assert sorted((each.channel, each.step) for each in plan(notice(), written)) == [(BOSS, 0), (OPS, 0)]


def test_anomalies_concern_those_who_are_named_for_any_budget() -> None:
    found = Anomaly(
        anomaly="org:acme@1",
        organization="acme",
        scope="org:acme",
        kind="spike",
        severity="critical",
        begins_ms=1,
        hour_ms=1,
        observed_nanousd=91_200_000_000,
        expected_nanousd=11_400_000_000,
        score=6.8,
        contributors=[Contributor(dimension="user", value="bo", observed_nanousd=80 * 10**9, expected_nanousd=10**8)],
        found_at_ms=NOON_MS,
        ledger_partition=0,
    )
    written = contacts({"budget": "*", "notify": [OPS]}, {"budget": "all", "notify": [BOSS]})
    assert [each.channel for each in plan(of_anomaly(found), written)] == [OPS]
    words = tell(of_anomaly(found))
    assert words.headline == "acme: org:acme spent $91.20 in an hour instead of $11.40"
    assert "user bo: $80.00 instead of $0.10" in words.facts


NIGHT = {"quiet": "22:00-07:00"}


@pytest.mark.parametrize(
    ("local", "minutes"),
    [
        (datetime(2026, 11, 24, 12, tzinfo=BERLIN), 0),
        (datetime(2026, 11, 24, 21, 59, tzinfo=BERLIN), 0),
        (datetime(2026, 11, 24, 22, tzinfo=BERLIN), 9 * 60),
        (datetime(2026, 11, 25, 6, 59, tzinfo=BERLIN), 1),
        (datetime(2026, 11, 25, 7, tzinfo=BERLIN), 0),
        (datetime(2026, 10, 24, 23, tzinfo=BERLIN), 9 * 60),  # clocks go back in this night: it has an hour more
        (datetime(2026, 3, 28, 23, tzinfo=BERLIN), 7 * 60),  # and forward in this one
    ],
)
def test_what_is_not_critical_waits_for_the_morning(local: datetime, minutes: int) -> None:
    at_ms = to_ms(local)
    assert told(NIGHT, raised_at_ms=at_ms) == [(OPS, 0, minutes)]
    assert told(NIGHT, raised_at_ms=at_ms, severity="critical") == [(OPS, 0, 0)]


def test_a_digest_goes_at_the_end_of_its_stretch_and_not_at_night() -> None:
    assert told({"digest": "1h"}, raised_at_ms=NOON_MS + MINUTE_MS) == [(OPS, 0, 59)]
    late_ms = to_ms(datetime(2026, 11, 24, 21, 30, tzinfo=BERLIN))
    assert told({"digest": "1h", **NIGHT}, raised_at_ms=late_ms) == [(OPS, 0, 9 * 60 + 30)]


def test_patience_begins_when_the_first_may_have_heard() -> None:
    night_ms = to_ms(datetime(2026, 11, 25, 6, tzinfo=BERLIN))
    written = {**NIGHT, "escalate_after": "30m", "to": [BOSS]}
    assert told(written, raised_at_ms=night_ms) == [(OPS, 0, 60), (BOSS, 1, 90)]


severities = st.sampled_from(SEVERITIES)
instants = st.integers(to_ms(datetime(2026, 1, 1, tzinfo=BERLIN)), to_ms(datetime(2026, 12, 31, tzinfo=BERLIN)))
clock_times = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda pair: f"{pair[0]:02}:{pair[1]:02}")
quiet_hours = st.tuples(clock_times, clock_times).filter(lambda pair: pair[0] != pair[1]).map("-".join)
written_contacts = st.lists(
    st.fixed_dictionaries(
        {
            "budget": st.sampled_from(["all", "*", "other"]),
            "notify": st.lists(st.sampled_from([OPS, BOSS, CHAT]), min_size=1, max_size=16),
        },
        optional={"quiet": quiet_hours, "digest": st.sampled_from(["5m", "1h", "1d"]), "min_severity": severities},
    ),
    max_size=5,
)


@given(written_contacts, severities, instants)
def test_nothing_is_told_twice_nor_before_it_happened(written: list[Any], severity: str, at_ms: int) -> None:
    about = notice(severity=severity, raised_at_ms=at_ms)
    found = plan(about, contacts(*written))
    assert len({each.id for each in found}) == len({each.channel for each in found}) == len(found)
    assert all(at_ms <= each.due_ms <= at_ms + 5 * 24 * HOUR_MS for each in found)
    assert found == plan(about, contacts(*written)), "a plan follows from its notice"


@given(quiet_hours, instants)
def test_nobody_is_woken_for_what_is_not_critical(quiet: str, at_ms: int) -> None:
    (contact,) = contacts({"budget": "all", "notify": [OPS], "quiet": quiet})
    due_ms = contact.waits_until_ms("warning", at_ms)
    start, end = (timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in quiet.split("-"))
    local = datetime.fromtimestamp(due_ms / 1000, BERLIN)
    day = timedelta(hours=local.hour, minutes=local.minute)
    assert not (start <= day < end if start < end else day >= start or day < end)


def waiting(count: int, *, at_most: int | None = None, together: bool = False) -> list[Waiting]:
    """Deliveries to one channel."""
    return [Waiting(f"d{number}", at_most, together) for number in range(count)]


def test_each_goes_by_itself_while_there_is_room() -> None:
    assert [each.deliveries for each in bundle(waiting(3), [], NOON_MS)] == [("d0",), ("d1",), ("d2",)]


def test_the_last_message_of_the_hour_tells_of_all_that_is_left() -> None:
    found = bundle(waiting(5, at_most=3), [NOON_MS - MINUTE_MS], NOON_MS)
    assert [each.deliveries for each in found] == [("d0",), ("d1", "d2", "d3", "d4")]


def test_without_room_everything_waits_until_there_is() -> None:
    sent = [NOON_MS - 50 * MINUTE_MS, NOON_MS - MINUTE_MS]
    assert bundle(waiting(5, at_most=2), sent, NOON_MS) == []
    later_ms = next_look_ms(sent, NOON_MS)
    assert later_ms == NOON_MS + 10 * MINUTE_MS
    assert len(bundle(waiting(5, at_most=2), sent, later_ms)) == 1


def test_more_than_one_message_can_tell_of_waits_rather_than_passing_the_bound() -> None:
    found = bundle(waiting(2 * TOGETHER_MAX + 50, at_most=2), [NOON_MS - MINUTE_MS], NOON_MS)
    assert [len(each.deliveries) for each in found] == [TOGETHER_MAX]
    assert len(bundle(waiting(2 * TOGETHER_MAX + 50, together=True), [], NOON_MS)) == 3, "without a bound, all go"


def test_a_digest_is_one_message_with_a_name_of_its_own() -> None:
    (found,) = bundle(waiting(3, together=True), [], NOON_MS)
    assert found.deliveries == ("d0", "d1", "d2")
    assert bundle(waiting(3, together=True), [], NOON_MS + 1) == [found], "the same ones have the same key"


@given(
    st.lists(st.tuples(st.none() | st.integers(1, 5), st.booleans()), max_size=30),
    st.lists(st.integers(0, 2 * HOUR_MS), max_size=10),
)
def test_no_delivery_is_lost_or_doubled_and_no_bound_is_passed(of: list[Any], ago: list[int]) -> None:
    all_of_them = [Waiting(f"d{number}", at_most, together) for number, (at_most, together) in enumerate(of)]
    sent = [NOON_MS - each for each in ago]
    found = bundle(all_of_them, sent, NOON_MS)
    names = [name for each in found for name in each.deliveries]
    assert names == [] or sorted(names) == sorted(each.id for each in all_of_them)
    bounds = [at_most for at_most, _ in of if at_most is not None]
    if bounds:
        assert len(found) + sum(at_ms > NOON_MS - HOUR_MS for at_ms in sent) <= max(min(bounds), len(sent))


def test_a_message_is_tried_ever_later_and_then_given_up() -> None:
    waits = [retry_after_ms("m", attempts) for attempts in range(1, ATTEMPTS_MAX)]
    assert all(wait is not None for wait in waits)
    assert retry_after_ms("m", ATTEMPTS_MAX) is None
    total = sum(wait or 0 for wait in waits)
    assert 4 * HOUR_MS < total < 24 * HOUR_MS
    assert retry_after_ms("m", 1) == retry_after_ms("m", 1) != retry_after_ms("n", 1)


def test_what_a_receiver_asks_for_is_waited_for_within_reason() -> None:
    assert retry_after_ms("m", 1, 60_000) == 60_000
    assert retry_after_ms("m", 1, 10**9) == 2 * HOUR_MS


@pytest.mark.parametrize(
    "channel", ["slack://A/SECRET/C", "https://user:SECRET@hooks.example/SECRET?k=SECRET", "tgram://SECRET"]
)
def test_secrets_of_channels_are_not_told(channel: str) -> None:
    assert "SECRET" not in redacted(channel)
    assert redacted(channel) != redacted(channel + "x"), "two channels are told apart"


def test_an_address_of_mail_is_told() -> None:
    assert redacted(OPS) == OPS


def test_the_words_say_what_happened_and_what_it_means() -> None:
    forecast = Forecast(
        forecast="f",
        organization="acme",
        scope="org:acme",
        window="month:2026-11",
        as_of=date(2026, 11, 24),
        begins=date(2026, 11, 1),
        ends=date(2026, 12, 1),
        spent_nanousd=45_000 * 10**9,
        total_nanousd=56_000 * 10**9,
        low_nanousd=52_000 * 10**9,
        high_nanousd=61_000 * 10**9,
        made_at_ms=NOON_MS,
    )
    words = tell(notice(threshold="0.333"), forecast=forecast, owners=["Ada"])
    assert words.headline == "acme: all has reached 33.3% of $50,000"
    assert words.facts == ("Settled: $45,000.5 in month:2026-11", "Scope: org:acme")
    assert words.outlook == (
        "By the end of month:2026-11: about $56,000.00 ($52,000.00 to $61,000.00 in 8 of 10 cases), "
        "$6,000.00 above the limit"
    )
    assert words.owner == "Ada"
    assert any("spendgate report" in line for line in words.advice)


def test_a_projection_says_when_and_how_likely() -> None:
    day = date(2026, 11, 28)
    words = tell(notice(kind="projection", probability=0.85, projected_usd="61000", expected_on=day))
    assert words.headline == "acme: all is expected to exceed $50,000 on 2026-11-28"
    assert "Probability: 85%" in words.facts
