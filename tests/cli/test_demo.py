"""What the demo writes down, and that it fails unless every sum agrees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from services.cli.board import Board
from services.cli.cast import assign
from services.cli.commands.demo import Outcome, empty, finish
from services.cli.errors import CliError, Mismatch
from services.cli.reconcile import Sums
from services.cli.rederivation import Rederivation
from services.cli.render import console
from services.cli.tally import Tally
from services.cli.trace import TraceRow


@pytest.fixture
def outcome() -> Outcome:
    tally = Tally(planned=3, denied=1)
    tally.admitted = assign([TraceRow("code", row, 0, 10, 1) for row in (1, 2)], seed=1)
    tally.check_ns.extend([1_000_000, 3_000_000])
    tally.fresh_ns.append(40_000_000)
    return Outcome(tally, Sums(7, 7, 7, 7), 123.456, Board(), Rederivation(2))


def test_figures_are_written_as_others_read_them(outcome: Outcome, tmp_path: Path) -> None:
    output = tmp_path / "build" / "demo.json"
    finish(outcome, "acme", output, console())
    assert json.loads(output.read_text()) == {
        "requests": 3,
        "charged": 2,
        "denied": 1,
        "throttled": 0,
        "fell_back": 0,
        "sums_nanousd": {"offline": 7, "balances": 7, "clickhouse_raw": 7, "clickhouse_rollup": 7},
        "rederived": {"decisions": 2, "differences": 0},
        "events_per_s": 123.5,
        "check_ms": {"p50": 1.0, "p99": 3.0},
        "freshness_ms": {"p50": 40.0, "p99": 40.0},
    }


def test_one_nano_dollar_is_a_failure_and_the_figures_are_written_all_the_same(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(outcome, sums=replace(outcome.sums, clickhouse_rollup=8))
    with pytest.raises(Mismatch):
        finish(wrong, "acme", tmp_path / "demo.json", console())
    assert "NOT EQUAL" in capsys.readouterr().out
    assert json.loads((tmp_path / "demo.json").read_text())["sums_nanousd"]["clickhouse_rollup"] == 8


def test_a_decision_that_comes_out_otherwise_is_a_failure_and_named(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome.rederived.different.append("dec-1: action: recorded allow, derived deny")
    with pytest.raises(Mismatch, match="derived again"):
        finish(outcome, "acme", tmp_path / "demo.json", console())
    assert "dec-1: action" in capsys.readouterr().out
    assert json.loads((tmp_path / "demo.json").read_text())["rederived"] == {"decisions": 2, "differences": 1}


def test_requests_that_got_no_answer_are_a_failure(outcome: Outcome, tmp_path: Path) -> None:
    outcome.tally.failed = 1
    with pytest.raises(CliError, match="1 requests got no answer"):
        finish(outcome, "acme", tmp_path / "demo.json", console())


def test_only_a_stack_s_folder_is_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CliError):
        empty(tmp_path)
    assert (tmp_path / "thesis.tex").exists()
    (tmp_path / "stack.lock").touch()
    empty(tmp_path)
    assert not tmp_path.exists()
    empty(tmp_path)
