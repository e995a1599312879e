"""The two measurements of anomaly detection: that they measure what they say, and a fast slice of each with a bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.core.anomaly.metric import MetricScorer, Recent
from tests.bench.bench_anomaly_injected import alerts
from tests.bench.bench_anomaly_nab import PUBLISHED, gaussian, metric_scores, scored
from tests.bench.injected import ANOMALIES, CLEAN_HOURS, HOURS, KINDS, Injected, Spending, outcome, spending
from tests.bench.nab_score import (
    FEW_MISSED,
    Floats,
    Labelled,
    best_threshold,
    leave_one_out,
    normalise,
    read_series,
    score,
)
from tests.bench.plain_alarms import at_budget, ewma, trailing_mean
from tests.bench.shared_data import nab_folder

SLICE_SEED = 77
"""Neither the bench's frozen one, nor one that settings were chosen on."""


@pytest.fixture(scope="module")
def labelled() -> list[Labelled]:
    """The 17 labelled series."""
    try:
        return read_series(nab_folder())
    except FileNotFoundError as error:
        pytest.skip(str(error))


def series(name: str = "one", *windows: tuple[int, int], rows: int = 1000) -> Labelled:
    """A series of which only the labels matter."""
    return Labelled(name, np.arange(rows) * 300, np.zeros(rows), windows)


def alarms(*rows: int, of: int = 1000) -> Floats:
    """Scores that are 1 at these rows and 0 elsewhere."""
    scores = np.zeros(of)
    scores[list(rows)] = 1.0
    return scores


def test_silence_scores_0_and_an_alarm_at_each_windows_first_row_scores_100() -> None:
    one = series("one", (300, 399), (600, 699))
    assert score({"one": alarms()}, [one], 0.5).normalised == 0
    assert score({"one": alarms(300, 600)}, [one], 0.5).normalised == pytest.approx(100, abs=0.1)
    assert score({"one": alarms(300)}, [one], 0.5).normalised == pytest.approx(50, abs=0.1)
    assert normalise(-4.0, 2, FEW_MISSED) == 0


def test_only_the_earliest_alarm_of_a_window_counts_and_later_is_less() -> None:
    one = series("one", (300, 399))
    early, late, both = (score({"one": alarms(*rows)}, [one], 0.5).normalised for rows in ((310,), (390,), (310, 390)))
    assert late < early == both


def test_a_false_alarm_costs_more_the_further_it_is_behind_a_window_and_none_while_learning() -> None:
    one = series("one", (300, 399))
    raws = [score({"one": alarms(row)}, [one], 0.5).raw["one"] for row in (149, 405, 450, 900, 200)]
    assert raws[0] == -1
    assert raws[0] > raws[1] > raws[2] > raws[3] == raws[4] == pytest.approx(-1.11)


def test_the_best_threshold_is_the_best_of_all_there_are(labelled: list[Labelled]) -> None:
    some = labelled[:3]
    random = np.random.default_rng(5)
    scores = {one.name: np.round(random.random(len(one.values)), 2) ** 8 for one in some}
    best = score(scores, some, best_threshold(scores, some)).normalised
    tried = [score(scores, some, float(threshold)).normalised for threshold in np.unique(scores[some[0].name])]
    assert best >= max(*tried, 0)
    assert leave_one_out(scores, some).normalised <= best


def test_the_scoring_gives_the_published_score_of_nabs_own_baseline_for_every_series(labelled: list[Labelled]) -> None:
    found = {Path(name).stem: raw for name, raw in gaussian(labelled).raw.items()}
    assert found == pytest.approx(PUBLISHED, abs=1e-9)


def test_the_metric_scorer_stays_well_above_the_aim_on_the_labelled_series(labelled: list[Labelled]) -> None:
    ours = scored(labelled, metric_scores)
    assert score(ours, labelled, best_threshold(ours, labelled)).normalised > 60
    assert leave_one_out(ours, labelled).normalised > 57


def test_the_metric_scorer_knows_nothing_of_what_comes_later_and_nothing_of_units(labelled: list[Labelled]) -> None:
    values = labelled[0].values[:1500]
    whole = metric_scores(values)
    assert whole.max() > 0.5
    assert np.array_equal(metric_scores(values[:1200]), whole[:1200])
    assert np.allclose(metric_scores(values * 1024), whole)


def test_a_metric_is_read_at_steps_from_a_second_to_an_hour() -> None:
    for step_s in (0, 3601):
        with pytest.raises(ValueError, match="once an hour"):
            MetricScorer(step_s)
    assert MetricScorer(3600).score(5.0) == 0


def test_recent_readings_have_the_quantiles_that_numpy_finds() -> None:
    random = np.random.default_rng(1)
    values = np.round(random.normal(size=300), 1)
    recent = Recent(50)
    for at, value in enumerate(values.tolist()):
        recent.add(value)
        window = values[max(0, at - 49) : at + 1]
        assert len(recent) == len(window)
        assert [recent.quantile(part) for part in (0, 0.5, 0.99, 1)] == pytest.approx(
            np.quantile(window, [0, 0.5, 0.99, 1])
        )


def test_equal_seeds_give_equal_spending_of_every_kind_with_every_anomaly() -> None:
    one, other = spending(9, len(KINDS)), spending(9, len(KINDS))
    assert all(np.array_equal(a.amounts_nanousd, b.amounts_nanousd) for a, b in zip(one, other, strict=True))
    assert [scope.kind for scope in one] == list(KINDS)
    for scope in one:
        assert sorted(each.kind for each in scope.injected) == sorted(ANOMALIES)
        assert all(CLEAN_HOURS <= each.first <= each.last < HOURS for each in scope.injected)
        assert scope.amounts_nanousd.min() >= 0


def test_an_alert_is_a_hit_in_its_anomaly_late_for_six_hours_and_false_elsewhere() -> None:
    at = CLEAN_HOURS + 100
    scope = Spending("office", np.zeros(HOURS, dtype=np.int64), (Injected("spike", at, at + 2),))
    hit, late, false = (outcome([scope], [[place]]) for place in (at + 1, at + 8, at + 9))
    assert (hit.recall, hit.false_by_kind.total(), hit.delays_hours) == (1, 0, [1])
    assert (late.recall, late.false_by_kind.total()) == (0, 0)
    assert (false.recall, false.false_by_kind.total()) == (0, 1)
    assert outcome([scope], [[at + 20, at + 23, at + 60, 5]], quiet_hours=6).false_by_kind.total() == 2


def test_the_detector_finds_most_of_what_is_injected_and_far_more_than_plain_alarms_do() -> None:
    scopes = spending(SLICE_SEED, 4 * len(KINDS))
    found = outcome(scopes, alerts(scopes))
    assert found.recall > 0.8
    assert found.false_per_30_days < 1.2
    for plain in (ewma, trailing_mean):
        _, theirs = at_budget(scopes, plain, 1.0)
        assert theirs.false_per_30_days <= 1.0
        assert 0 < theirs.recall < found.recall - 0.2
