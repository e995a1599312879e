"""A person's day with `spendgate`: up, a policy, traffic, questions, an audit, Ctrl-C; and the demo."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import pytest

from deploy.local.ports import free_port
from services.cli.cast import assign
from services.cli.reconcile import cost_nanousd
from services.cli.trace import read_trace
from services.core.focus_check import check_focus, parse_row
from services.core.money import format_usd, parse_usd
from tests.e2e.patience import PATIENCE

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
REQUESTS = 150
POLICY = """
organization: acme
budgets:
  - {name: month, limit_usd: "1000", window: month}
  - {name: each-user, scope: {user: "*"}, limit_usd: "500", window: month}
"""
TIGHT = (
    POLICY
    + """\
  - {name: nothing-left, scope: {project: copilot}, limit_usd: "0.000001", window: total, on_unknown: allow}
"""
)

RULES = """
organization: acme
budgets:
  - {{name: reserve, scope: {{project: reserve}}, limit_usd: "100", window: year}}
  - name: copilot
    scope: {{project: copilot}}
    limit_usd: "{half}"
    window: year
    tiers: {{soft: 1, throttle: 1, hard: 1}}
rules:
  - {{name: more, take_from: reserve, give_to: [copilot], when: utilization >= 0, step_percent: 100}}
"""


class Stack:
    """A stack that `spendgate up` runs, and commands against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.up = subprocess.Popen(
            self._command("up", "--data", "data"), cwd=folder, env=self._environment, stdout=subprocess.PIPE, text=True
        )
        assert self.up.stdout is not None
        self.said = ""
        for line in self.up.stdout:
            self.said += line
            if "stack.json" in line:
                return
        raise AssertionError(f"the stack did not start: {self.said}")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(*arguments),
            cwd=self.folder,
            env={**self._environment, "SPENDGATE_DATA": "data"},
            capture_output=True,
            text=True,
            timeout=240,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def await_requests(self, count: int) -> None:
        """Wait until so many requests are in the reports: an audit is for when no usage arrives."""
        while sum(row["requests"] for row in self.report("project")["rows"]) < count:
            pass

    def report(self, by: str) -> dict[str, Any]:
        """A report, decoded."""
        decoded: dict[str, Any] = json.loads(self.ok("report", "--by", by, "--format", "json"))
        return decoded

    def interrupt(self) -> str:
        """Ctrl-C; what it said then."""
        self.up.send_signal(signal.SIGINT)
        said, _ = self.up.communicate(timeout=180)
        return said

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "services.cli", *arguments]

    @property
    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
        return {**inherited, **PATIENCE, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    running = Stack(tmp_path_factory.mktemp("cli"))
    try:
        yield running
    finally:
        if running.up.poll() is None:
            running.interrupt()


@pytest.fixture(scope="module")
def trace(stack: Stack) -> Path:
    """A trace in columns of its own, with its times out of order."""
    random = Random(5)
    path = stack.folder / "code.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("arrival_time", "prompt_tokens", "completion_tokens"))
        writer.writerows(
            (round(random.uniform(0, 60), 3), random.randrange(5000), random.randrange(500)) for _ in range(REQUESTS)
        )
    return path


def test_up_says_where_everything_is_and_keeps_its_keys_to_itself(stack: Stack) -> None:
    for part in ("ingest", "enforcer", "aggregator", "sink", "kafka", "clickhouse", "edge.token"):
        assert part in stack.said
    assert "sg_" not in stack.said
    assert (stack.folder / "data" / "keys" / "edge.token").stat().st_mode & 0o077 == 0


def test_a_policy_is_shown_compared_and_applied(stack: Stack) -> None:
    (stack.folder / "acme.yaml").write_text(POLICY)
    assert stack.run("policy", "diff", "acme.yaml").returncode == 1
    assert "version 1 of acme is in force" in stack.ok("policy", "apply", "acme.yaml", "--reason", "first")
    assert "nothing changes" in stack.ok("policy", "diff", "acme.yaml")
    assert "nothing changes" in stack.ok("policy", "apply", "acme.yaml")
    shown = stack.ok("policy", "show")
    assert shown.startswith("# version 1")
    (stack.folder / "shown.yaml").write_text(shown)
    assert "nothing changes" in stack.ok("policy", "diff", "shown.yaml")


def test_replayed_traffic_is_counted_reported_and_exact(stack: Stack, trace: Path) -> None:
    replayed = stack.ok("replay", str(trace), "--speed", "0")
    assert f"{REQUESTS} of {REQUESTS} requests" in replayed
    assert "denied 0" in replayed
    requests = assign(read_trace(trace), seed=1)
    expected = sum(cost_nanousd(request, datetime.now(UTC)) for request in requests)  # noqa: TID251
    stack.await_requests(REQUESTS)
    stack.ok("audit")
    for by in ("project", "team", "user", "feature", "model", "provider", "day"):
        reported = stack.report(by)
        assert parse_usd(reported["total_usd"]) == expected, by
        assert sum(row["requests"] for row in reported["rows"]) == REQUESTS
    rows = list(csv.DictReader(stack.ok("report", "--by", "user", "--format", "csv").splitlines()))
    assert sum(parse_usd(row["cost_usd"]) for row in rows) == expected
    assert {row["user"] for row in rows} == {request.user for request in requests}
    recently = stack.ok("report", "--by", "user", "--since", "2020-01-01T00:30", "--format", "csv")
    assert recently == stack.ok("report", "--by", "user", "--format", "csv")


def test_governance_reports_and_the_focus_export_add_up_to_the_same_spending(stack: Stack) -> None:
    expected = parse_usd(stack.report("project")["total_usd"])
    running = f"{datetime.now(UTC):%G-W%V}"  # noqa: TID251
    weekly = json.loads(stack.ok("report", "weekly", "--period", running, "--format", "json"))
    assert (weekly["organization"], parse_usd(weekly["total"]["now_usd"])) == ("acme", expected)
    month = f"{datetime.now(UTC):%Y-%m}"  # noqa: TID251
    account = json.loads(stack.ok("report", "accountability", "--period", month, "--format", "json"))
    assert sum(parse_usd(line["total_usd"]) for line in account["charged"]) == expected
    assert "Planning" in stack.ok("report", "quarterly")
    stack.ok("report", "weekly", "--period", running, "-w", "out/weekly.html")
    assert "Weekly review" in (stack.folder / "out" / "weekly.html").read_text()
    rows = list(csv.DictReader(stack.ok("report", "focus", "--organization", "acme").splitlines()))
    assert list(check_focus(parse_row(row) for row in rows)) == []
    assert sum(parse_usd(row["BilledCost"]) for row in rows) == expected
    refused = stack.run("report", "weekly", "--period", "2026-11")
    assert (refused.returncode, "2026-W48" in refused.stderr) == (1, True)


def test_the_past_is_decided_again_under_the_policy_that_was_and_one_that_is_tighter(stack: Stack) -> None:
    expected = parse_usd(stack.report("project")["total_usd"])
    (stack.folder / "none-left.yaml").write_text(TIGHT)
    since = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M}"  # noqa: TID251
    told = json.loads(stack.ok("whatif", "acme.yaml", "none-left.yaml", "--since", since, "--json"))
    as_it_was, tighter = (scenario["total"] for scenario in told["scenarios"])
    assert (as_it_was["requests"], as_it_was["allow"]) == (REQUESTS, REQUESTS)
    assert parse_usd(as_it_was["was_usd"]) == parse_usd(as_it_was["spent_usd"]) == expected
    assert tighter["deny"] == told["scenarios"][1]["budgets"]["nothing-left"]["deny"] > 0
    assert parse_usd(tighter["spent_usd"]) + parse_usd(tighter["spared_usd"]) == expected
    shown = stack.ok("whatif", "none-left.yaml", "--since", since, "--by", "project")
    assert "project:copilot" in shown


def test_rules_are_tried_on_the_past_and_a_move_that_cannot_be_says_why(stack: Stack) -> None:
    (copilot,) = (row for row in stack.report("project")["rows"] if row["project"] == "copilot")
    half = parse_usd(copilot["cost_usd"]) // 2
    (stack.folder / "rules.yaml").write_text(RULES.format(half=format_usd(half)))
    since = f"{datetime.now(UTC) - timedelta(hours=2):%Y-%m-%dT%H:%M}"  # noqa: TID251
    told = json.loads(stack.ok("policy", "simulate", "rules.yaml", "--since", since, "--json"))
    assert told["with_rules"]["requests"] == told["without_rules"]["requests"] == REQUESTS
    assert told["refusals_avoided"] >= told["without_rules"]["deny"] - told["with_rules"]["deny"] > 0
    assert {move["from_budget"] for move in told["moves"]} == {"reserve"}
    shown = stack.ok("policy", "simulate", "rules.yaml", "--since", since)
    assert "requests would have been made that were not without rules" in shown
    refused = stack.run("policy", "move", "nobody", "each-user", "5", "--why", "to see")
    assert refused.returncode == 1
    assert "nothing was moved: acme has no budget 'nobody'" in refused.stderr


def test_status_and_top_show_what_was_spent(stack: Stack) -> None:
    whole = stack.ok("status")
    assert "org:acme  (organization, policy version 1)" in whole
    assert f"{REQUESTS}" in whole
    assert "each-user" in stack.ok("status", "org:acme/user:amal")
    watched = stack.ok("top", "--once", "--window", "month")
    for part in ("project:copilot", "user:amal", "fullest budgets"):
        assert part in watched
    wrong = stack.run("status", "project:copilot")
    assert wrong.returncode == 1
    assert "org:NAME/project:copilot" in wrong.stderr


def test_what_is_expected_and_what_was_crossed_is_shown_by_the_console(stack: Stack) -> None:
    whole = stack.ok("status", "org:acme")
    assert "outlook" in whole
    assert "may cost a day" in whole
    nobody = f"http://127.0.0.1:{free_port()}"
    assert "the console does not answer" in stack.ok("status", "org:acme", "--console-url", nobody)
    for command in ("alerts", "anomalies", "forecast show"):
        name = command.split()[0].replace("forecast", "forecasts")
        listed = json.loads(stack.ok(*command.split(), "--format", "json"))
        assert listed["organization"] == "acme"
        assert isinstance(listed[name], list)
    while not (made := json.loads(stack.ok("forecast", "show", "--format", "json"))["forecasts"]):
        sleep(1)
    assert {*chain.from_iterable(each["models"] for each in made)} == {"first-day"}, "nothing was spent before today"
    wrong = stack.run("anomalies", "--scope", "project:copilot")
    assert wrong.returncode == 1
    assert "org:NAME/project:copilot" in wrong.stderr


def test_a_budget_without_room_denies(stack: Stack, trace: Path) -> None:
    (stack.folder / "tight.yaml").write_text(TIGHT)
    applied = stack.ok("policy", "apply", "tight.yaml")
    assert "nothing-left" in applied
    assert "not acted on yet" not in applied
    while "policy version 2" not in stack.ok("status"):  # the enforcer hears of it for itself
        pass
    replayed = stack.ok("replay", str(trace), "--speed", "0", "--seed", "2", "--model", "gpt-4o-mini")
    copilot = sum(request.project == "copilot" for request in assign(read_trace(trace), seed=2))
    assert f"denied {copilot}" in replayed
    assert "spendgate explain dec-" in replayed
    stack.await_requests(2 * REQUESTS - copilot)
    stack.ok("audit")


def last_denials(stack: Stack) -> str:
    """What the list says once a denial has arrived; the id of the last one is at its end."""
    deadline = monotonic() + 20
    while "spendgate explain dec-" not in (listed := stack.ok("decisions", "--denied", "--limit", "3")):
        assert monotonic() < deadline, listed
    return listed


def test_a_denial_can_be_explained_by_its_enforcer_and_from_clickhouse(stack: Stack) -> None:
    listed = last_denials(stack)
    name = listed.split()[-1]
    assert listed.count("nothing-left") == 3
    remembered = stack.ok("explain", name)
    for part in ("denied", "▶ nothing-left", "project:copilot", "policy version 2", name, "the memory of the enforcer"):
        assert part in remembered, remembered
    nobody = ("--enforcer-url", f"http://127.0.0.1:{free_port()}")
    stored = stack.ok("explain", name, *nobody)
    assert "ClickHouse" in stored
    assert stored.split("found in")[0] == remembered.split("found in")[0]
    as_json = json.loads(stack.ok("explain", name, "--json"))
    assert as_json == json.loads(stack.ok("explain", name, "--json", *nobody))
    assert (as_json["decision"], as_json["action"]) == (name, "deny")
    for where in ((), ("--ingest-url", nobody[1])):  # the policy from ingest, or from the ledger
        assert "the same in every field" in stack.ok("explain", name, "--verify", *where)


def test_a_decision_that_nobody_kept_is_an_error_with_advice(stack: Stack) -> None:
    unknown = stack.run("explain", "dec-enforcer-1f0c9a2b-mie8k3x9-1")
    assert unknown.returncode == 1
    assert "nobody has kept" in unknown.stderr
    assert "spendgate decisions" in unknown.stderr


def test_ctrl_c_stops_everything_in_good_order(stack: Stack) -> None:
    said = stack.interrupt()
    assert stack.up.returncode == 0, said
    assert said.rstrip().endswith("stopped")
    assert not (stack.folder / "data" / "stack.json").exists()
    assert stack.run("status", "org:acme").returncode == 3


def test_the_demo_reconciles_four_sums(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "services.cli",
            "demo",
            "--limit",
            "150",
            "--within",
            "5",
            "--data",
            "demo",
            "--output",
            "f.json",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["requests"] == 300 == figures["charged"] + figures["denied"] + figures["throttled"]
    assert figures["rederived"]["decisions"] >= 300 * 0.7, "one for each that asked; research reports afterwards"
    assert figures["rederived"]["differences"] == 0
    assert len(set(figures["sums_nanousd"].values())) == 1
    assert figures["sums_nanousd"]["offline"] > 0
    assert figures["events_per_s"] > 0
    assert 0 < figures["check_ms"]["p50"] <= figures["check_ms"]["p99"]
    assert 0 < figures["freshness_ms"]["p50"] <= figures["freshness_ms"]["p99"]
