"""The anomaly detector: what it promises of any hours at all, whatever they cost."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.anomaly import DEFAULT, Detector, Finding, Sensitivity, StateError
from services.core.anomaly.detector import AMOUNT_NANOUSD_MAX, GAP_HOURS_MAX, HOUR_MS, KEPT_HOURS
from tests.bench.injected import BEGIN_HOUR, spending

USD = 1_000_000_000
MONDAY_MS = BEGIN_HOUR * HOUR_MS
WEEK = 168

HOURS = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10**13)), min_size=1, max_size=80)
"""Hours with spending: so many hours after the one before, so much."""


def office(weeks: int, peak_nanousd: int = 20 * USD) -> list[int]:
    """Working hours and working days, with a ripple that repeats in no week."""
    return [
        peak_nanousd * (10 if hour // 24 % 7 < 5 and 8 <= hour % 24 < 18 else 1) // 10 * (90 + hour * 7919 % 21) // 100
        for hour in range(weeks * WEEK)
    ]


def feed(detector: Detector, amounts: list[int], begin: int = 0) -> list[Finding]:
    """What the detector says of these hours, which begin so many hours after the Monday."""
    told = [detector.update(MONDAY_MS + (begin + at) * HOUR_MS, amount) for at, amount in enumerate(amounts)]
    return [finding for finding in told if finding]


@settings(max_examples=40)
@given(HOURS, st.data())
def test_a_detector_loaded_at_any_cut_says_the_same_and_dumps_the_same(
    hours: list[tuple[int, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(hours)))
    whole, resumed = Detector(Sensitivity(effect_nanousd=0, effect_share=0)), Detector()
    resumed = Detector.load(Detector(Sensitivity(effect_nanousd=0, effect_share=0)).dump())
    at_ms = MONDAY_MS
    for place, (after, amount) in enumerate(hours):
        if place == cut:
            resumed = Detector.load(resumed.dump())
        at_ms += after * HOUR_MS
        assert whole.update(at_ms, amount) == resumed.update(at_ms, amount)
    assert whole.dump() == resumed.dump()


@pytest.mark.parametrize("cut", [0, 71, 72, 24 * 28 + 5, 24 * 40])
def test_a_restart_in_the_middle_of_real_episodes_changes_nothing(cut: int) -> None:
    amounts = spending(seed=3, series=1)[0].amounts_nanousd.tolist()
    whole, before = Detector(), Detector()
    expected = feed(whole, amounts)
    told = feed(before, amounts[:cut])
    after = Detector.load(before.dump())
    assert len(expected) > 2
    assert told + feed(after, amounts[cut:], begin=cut) == expected
    assert after.dump() == whole.dump()


@settings(max_examples=40)
@given(HOURS)
def test_silent_hours_are_zeros_whether_they_are_fed_or_left_out(hours: list[tuple[int, int]]) -> None:
    gaps, zeros = Detector(), Detector()
    at_ms = MONDAY_MS
    gaps.update(at_ms, 0)
    zeros.update(at_ms, 0)
    for after, amount in hours:
        for _ in range(after - 1):
            at_ms += HOUR_MS
            zeros.update(at_ms, 0)
        at_ms += HOUR_MS
        assert gaps.update(at_ms, amount) == zeros.update(at_ms, amount)
    assert gaps.dump() == zeros.dump()


def test_years_of_silence_cost_no_more_than_five_weeks() -> None:
    long, longer = Detector(), Detector()
    for detector, years in ((long, 1), (longer, 40)):
        feed(detector, office(1))
        detector.update(MONDAY_MS + (years * 8760 + GAP_HOURS_MAX) * HOUR_MS, USD)
    assert len(long.dump()) == len(longer.dump())
    assert long.last_hour_ms != longer.last_hour_ms


@settings(max_examples=40)
@given(HOURS)
def test_a_finding_is_above_the_expected_by_the_least_effect_and_in_its_own_hours(hours: list[tuple[int, int]]) -> None:
    detector, at_ms = Detector(), MONDAY_MS
    for after, amount in hours:
        at_ms += after * HOUR_MS
        finding = detector.update(at_ms, amount)
        if finding:
            assert finding.hour_ms == at_ms
            assert at_ms - KEPT_HOURS * 2 * HOUR_MS <= finding.begin_ms <= at_ms
            assert finding.excess_nanousd >= DEFAULT.effect_nanousd
            assert finding.score >= DEFAULT.threshold


def test_cents_alarm_nobody_however_wild_they_are() -> None:
    amounts = [amount // 10_000 for amount in office(6)]
    amounts[5 * WEEK + 30] *= 400
    assert not feed(Detector(), amounts)
    assert feed(Detector(Sensitivity(effect_nanousd=0)), amounts)


def test_a_dollar_more_alarms_nobody_who_spends_thousands() -> None:
    amounts = office(6, peak_nanousd=2000 * USD)
    for hour in range(5 * WEEK, 5 * WEEK + 4):
        amounts[hour] += 300 * USD
    assert not feed(Detector(), amounts)
    assert feed(Detector(Sensitivity(effect_share=0.0)), amounts)


def test_the_same_spending_at_night_and_on_a_sunday_is_news_where_at_noon_it_is_not() -> None:
    for hour, is_news in ((5 * WEEK + 24 + 12, False), (5 * WEEK + 24 + 3, True), (5 * WEEK + 6 * 24 + 12, True)):
        amounts = office(6)
        for at in range(hour, hour + 4):
            amounts[at] = 20 * USD
        assert bool(feed(Detector(Sensitivity(effect_share=0.1)), amounts)) is is_news


@pytest.mark.parametrize("weeks", [7, 25, 34])
def test_clocks_that_are_set_back_or_forward_change_nothing(weeks: int) -> None:
    # From September 22 and January 26, over the change of October and of March; from March 30, over none.
    amounts = office(10)
    amounts[8 * WEEK + 36] *= 20
    told = feed(Detector(), amounts, begin=weeks * WEEK)
    assert [finding.hour_ms for finding in told] == [MONDAY_MS + ((weeks + 8) * WEEK + 36) * HOUR_MS]
    assert [finding.score for finding in told] == [finding.score for finding in feed(Detector(), amounts)]


def test_an_episode_is_told_once_and_again_only_when_it_has_doubled() -> None:
    amounts = office(7)
    for at in range(5 * WEEK + 30, 5 * WEEK + 60):
        amounts[at] += 40 * USD
    told = feed(Detector(), amounts)
    assert {finding.begin_ms for finding in told} == {MONDAY_MS + (5 * WEEK + 30) * HOUR_MS}
    assert all(later.excess_nanousd >= 2 * earlier.excess_nanousd for earlier, later in pairwise(told))
    assert 1 < len(told) < 7


def test_what_lasts_three_days_is_usual_from_then_on_and_a_spike_upon_it_is_news_again() -> None:
    amounts = office(8)
    for at in range(5 * WEEK, len(amounts)):
        amounts[at] *= 4
    spike = 6 * WEEK + 24 + 12
    amounts[spike] += 1000 * USD
    told = feed(Detector(), amounts)
    later = [finding.hour_ms for finding in told if finding.hour_ms > MONDAY_MS + (5 * WEEK + 4 * 24) * HOUR_MS]
    assert later == [MONDAY_MS + spike * HOUR_MS]


@pytest.mark.parametrize(
    ("kind", "hours", "factors"),
    [("spike", 1, [12]), ("shift", 20, [4] * 20), ("ramp", 48, [1 + at / 12 for at in range(48)])],
)
def test_an_episode_has_the_shape_that_it_was_given(kind: str, hours: int, factors: list[float]) -> None:
    amounts = office(7)
    begin = 5 * WEEK + 24 + 8
    for at in range(hours):
        amounts[begin + at] = int(amounts[begin + at] * factors[at])
    told = feed(Detector(), amounts)
    assert told[-1].kind == kind
    assert abs(told[-1].begin_ms - MONDAY_MS - begin * HOUR_MS) <= 12 * HOUR_MS


def test_what_is_expected_adds_up_to_what_is_usually_spent() -> None:
    amounts = office(6)
    spike = 5 * WEEK + 24 + 12
    usual, amounts[spike] = amounts[spike], amounts[spike] * 10
    (finding,) = feed(Detector(), amounts)
    assert finding.observed_nanousd == amounts[spike]
    assert 0.8 * usual < finding.expected_nanousd < 1.2 * usual


def test_three_days_are_learnt_from_before_anything_is_said() -> None:
    amounts = [USD] * 200
    amounts[60] = amounts[150] = 500 * USD
    assert [finding.hour_ms for finding in feed(Detector(), amounts)] == [MONDAY_MS + 150 * HOUR_MS]


def test_a_state_stays_a_few_kilobytes_for_ever() -> None:
    detector = Detector()
    feed(detector, office(6, peak_nanousd=9 * 10**15))
    size = len(detector.dump())
    feed(detector, office(52, peak_nanousd=9 * 10**15), begin=6 * WEEK)
    assert len(detector.dump()) <= size + 256 < 12_000


def test_corrections_below_zero_count_as_nothing_spent() -> None:
    below, zero = Detector(), Detector()
    feed(below, [USD, -5 * USD, USD])
    feed(zero, [USD, 0, USD])
    assert below.dump() == zero.dump()


@pytest.mark.parametrize(
    ("hour_ms", "amount", "says"),
    [
        (MONDAY_MS + 1, USD, "beginning of an hour"),
        (MONDAY_MS, USD, "in order"),
        (MONDAY_MS - HOUR_MS, USD, "in order"),
        (MONDAY_MS + HOUR_MS, AMOUNT_NANOUSD_MAX + 1, "more than"),
    ],
)
def test_a_refused_hour_leaves_the_detector_as_it_was(hour_ms: int, amount: int, says: str) -> None:
    detector = Detector()
    detector.update(MONDAY_MS, USD)
    before = detector.dump()
    with pytest.raises(ValueError, match=says):
        detector.update(hour_ms, amount)
    assert detector.dump() == before
    assert detector.last_hour_ms == MONDAY_MS


@settings(max_examples=60)
@given(st.data())
def test_damaged_cut_and_foreign_states_are_refused(data: st.DataObject) -> None:
    detector = Detector()
    feed(detector, office(1))
    state = bytearray(detector.dump())
    state[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    for bad in (bytes(state), detector.dump()[: data.draw(st.integers(0, len(state) - 1))], b"", b"{}"):
        with pytest.raises(StateError, match="feed it the last weeks"):
            Detector.load(bad)


def test_a_loaded_detector_may_be_given_other_settings() -> None:
    amounts = office(6)
    amounts[5 * WEEK + 36] *= 10
    quiet = Detector(Sensitivity(threshold=1000.0))
    assert not feed(quiet, amounts[: 5 * WEEK])
    assert feed(Detector.load(quiet.dump(), DEFAULT), amounts[5 * WEEK :], begin=5 * WEEK)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.0},
        {"threshold": float("nan")},
        {"escalation": 1.0},
        {"effect_nanousd": -1},
        {"effect_share": -0.1},
        {"effect_share": float("nan")},
        {"cooldown_hours": 0},
        {"cooldown_hours": 1000},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        msgspec.convert(wrong, Sensitivity)
