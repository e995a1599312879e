"""The backtest: what it judges, that it judges fairly, and that forecasts stay as good as they are said to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.cli.backtest.learn import HORIZONS, learn
from services.cli.backtest.months import BEGIN, MONTH_DAYS, Month
from services.cli.backtest.real import CLOUD, VISITS, real_months
from services.cli.backtest.score import DAYS, Scores, backtest, score, together
from services.cli.backtest.synthetic import CLASSES, synthetic_months
from services.cli.commands.forecast_backtest import SEED, SERIES, document, groups_of
from services.cli.commands.forecast_calibrate import source
from services.cli.errors import CliError
from services.core.forecast import calibrated
from services.core.forecast.calibration import Calibration, read_calibration, write_tables
from services.core.forecast.series import DailySeries


@pytest.fixture(scope="module")
def months() -> list[Month]:
    """A part of what the command judges."""
    return [*real_months(SERIES), *synthetic_months("judge", seed=SEED, each=25)]


@pytest.fixture(scope="module")
def scores(months: Sequence[Month]) -> dict[int, Scores]:
    return backtest(months, days=(7, 14, 21))


def test_errors_of_the_total_are_well_below_those_of_the_run_rate(scores: dict[int, Scores]) -> None:
    for day, each in scores.items():
        assert each.ratio <= 0.9, f"day {day}"
        assert each.of([VISITS]).ratio <= 0.95, f"day {day}"


def test_four_months_in_five_end_within_the_interval(scores: dict[int, Scores]) -> None:
    over_all = together(list(scores.values()))
    assert 0.75 <= over_all.coverage <= 0.88
    for kind in (VISITS, *CLASSES):
        assert over_all.of([kind]).coverage >= 0.6, kind


def test_probabilities_are_worth_more_than_the_run_rates_yes_or_no(scores: dict[int, Scores]) -> None:
    assert together(list(scores.values())).brier_ratio <= 0.7


def test_the_judged_months_are_others_than_those_learned_from() -> None:
    judged = {each.series.amounts_nanousd.tobytes() for each in synthetic_months("judge", seed=1, each=20)}
    learned = {each.series.amounts_nanousd.tobytes() for each in synthetic_months("calibrate", seed=1, each=20)}
    assert not judged & learned


def test_a_seed_gives_the_same_months_each_time(months: Sequence[Month]) -> None:
    again = [*real_months(SERIES), *synthetic_months("judge", seed=SEED, each=25)]
    assert all(
        one.series.scope == other.series.scope and (one.series.amounts_nanousd == other.series.amounts_nanousd).all()
        for one, other in zip(months, again, strict=True)
    )
    assert {each.kind for each in months} == {VISITS, *CLASSES}
    assert sum(each.kind == VISITS for each in months) > 150


def test_a_perfect_month_scores_nothing_wrong() -> None:
    flat = DailySeries("flat", BEGIN - timedelta(90), np.full(90 + MONTH_DAYS, 10**11, dtype=np.int64))
    scored = score([Month("flat", flat)], 10)
    assert scored.wape == pytest.approx(0.0, abs=0.02)
    assert scored.run_rate_wape == 0.0
    assert scored.coverage == 1.0


def test_cloud_series_are_read_in_sevenths_of_a_day(tmp_path: Path) -> None:
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / "few.csv").write_text('"ds","y"\n"2026-01-01",1.0\n')
    (tmp_path / "nab" / "load").mkdir(parents=True)
    rows = [f"2026-01-{1 + hour // 24:02d} {hour % 24:02d}:00:00,{1 + hour % 24}" for hour in range(24 * 14)]
    (tmp_path / "nab" / "load" / "machine.csv").write_text("\n".join(["timestamp,value", *rows]) + "\n")
    [first, second] = real_months(tmp_path)
    assert first.kind == second.kind == CLOUD
    assert first.series.scope == "machine@37"


def test_a_folder_without_series_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"has no daily/\*\.csv"):
        list(real_months(tmp_path))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / "broken.csv.gz").write_bytes(b"not gzip")
    with pytest.raises(CliError, match=r"broken\.csv\.gz cannot be read"):
        list(real_months(tmp_path))


def test_the_command_prints_every_figure_as_json() -> None:
    done = CliRunner().invoke(app, ["forecast", "backtest", "--no-prophet", "--json", "--each", "3", "--seed", "5"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["seed"], told["prophet"]) == (5, False)
    assert set(told["groups"]) == {"all", "real", VISITS, *CLASSES}
    assert set(told["groups"]["all"]["days"]) == {str(day) for day in DAYS}
    assert told["groups"]["weekly"]["months"] == 3


def test_the_command_prints_a_line_for_each_class() -> None:
    done = CliRunner().invoke(app, ["forecast", "backtest", "--no-prophet", "--each", "2"])
    assert done.exit_code == 0, done.output
    for kind in ("all", "real", VISITS, *CLASSES):
        assert f"\n {kind} " in done.stdout or f"\n{kind} " in done.stdout


def test_figures_of_a_group_are_those_of_its_classes(months: Sequence[Month], scores: dict[int, Scores]) -> None:
    told = document(scores, groups_of(months), seed=SEED, prophet=False)
    assert told["groups"]["all"]["months"] == len(months)
    assert told["groups"]["launch"]["days"]["14"]["ratio"] == round(scores[14].of(["launch"]).ratio, 4)


def test_the_shipped_calibration_is_written_as_the_command_writes_it() -> None:
    text = source(write_tables(Calibration.shipped()))
    assert text == Path(calibrated.__file__).read_text()


def test_what_is_learned_is_the_same_each_time_and_can_be_read_back() -> None:
    heard: list[float] = []
    first = learn(seed=3, each=20, steps=20, told=heard.append)
    second = learn(seed=3, each=20, steps=20)
    assert heard[-1] == 1.0
    tables = write_tables(first)
    assert tables == write_tables(second)
    read = read_calibration(**{name.lower(): text for name, text in tables.items()})
    assert read.gate == pytest.approx(first.gate, abs=0.001)
    assert read.horizons.tolist() == list(HORIZONS)
    assert (np.diff(read.quantiles, axis=2) >= 0).all()


def test_a_calibration_of_other_models_is_refused() -> None:
    tables = write_tables(Calibration.shipped())
    with pytest.raises(ValueError, match="spendgate forecast calibrate"):
        read_calibration(tables["GATE"].partition("\n")[2], tables["SCALE"], tables["QUANTILES"])
