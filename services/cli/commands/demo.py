"""`spendgate demo`: the whole of Spendgate on this machine, an hour of real traffic, and four sums that must agree."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import track

from deploy.local.service import ALL
from deploy.local.stack import Stack
from schemas.policy import Policy
from services.adapters.clock import now_ms
from services.cli.api import open_api
from services.cli.board import Board, read_board
from services.cli.budget_table import BudgetTable
from services.cli.cast import REPORTS_AFTERWARDS, Request, assign
from services.cli.commands.policy import apply_policy, read_policy
from services.cli.commands.replay import Limit, Seed, Speed, Within, read_traces
from services.cli.commands.up import SETUP
from services.cli.connection import Connection, connect
from services.cli.errors import CliError, Mismatch
from services.cli.reconcile import Sums, recompute
from services.cli.rederivation import Rederivation, rederive_all
from services.cli.render import console
from services.cli.session import DEFAULT_WITHIN_S, Plan, pace_of, replay, report_failures
from services.cli.tables import latency_table, spend_table, sums_table
from services.cli.tally import Tally, percentiles
from services.cli.warehouse import Warehouse, open_warehouse
from services.core.events import from_ms
from services.core.scope import Level
from services.core.window import WindowKind

EXAMPLES = Path(__file__).parents[3] / "examples"
TRACES = (EXAMPLES / "traces" / "azure-2023-code.csv.gz", EXAMPLES / "traces" / "azure-2023-conv.csv.gz")
POLICY = EXAMPLES / "policies" / "acme.yaml"
ARRIVE_WITHIN_S = 60.0
RESEND_EVERY = 10
DIFFERENCES_SHOWN = 5
KEEP_ALL = {"enforcer": {"SPENDGATE_SAMPLE_ALLOWS": "1"}}
"""In the demo every decision is published, so that each can be derived again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo found out."""

    tally: Tally
    sums: Sums
    events_per_s: float
    board: Board
    rederived: Rederivation

    def document(self) -> dict[str, Any]:
        """What `build/demo.json` says."""
        check, fresh = percentiles(self.tally.check_ns), percentiles(self.tally.fresh_ns)
        return {
            "requests": self.tally.planned,
            "charged": len(self.tally.admitted),
            "denied": self.tally.denied,
            "throttled": self.tally.throttled,
            "fell_back": self.tally.fell_back,
            "sums_nanousd": asdict(self.sums),
            "rederived": {"decisions": self.rederived.decisions, "differences": len(self.rederived.different)},
            "events_per_s": round(self.events_per_s, 1),
            "check_ms": {"p50": check.p50, "p99": check.p99},
            "freshness_ms": {"p50": fresh.p50, "p99": fresh.p99},
        }


def demo(
    seed: Seed = 1,
    speed: Speed = None,
    within: Within = DEFAULT_WITHIN_S,
    limit: Limit = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of the demo's own stack; emptied first.")] = Path(
        "build/demo"
    ),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("build/demo.json"),
    policy_file: Annotated[Path, typer.Option("--policy", help="The policy to apply.")] = POLICY,
) -> None:
    """Run everything, replay an hour of real LLM traffic, and prove that every sum is exact.

    A fresh local stack gets a policy with budgets for an organization of 3 projects, 6 teams and 40 users. Two gateways
    check and settle 28,185 requests of two Azure services from 2023, a third reports afterwards and sends some batches
    twice. Some budgets warn, some deny. In the end, every decision is derived again from what it says it knew, and
    spending is added up in four independent ways, which must agree to the nano-dollar: exit code 0. Figures are written
    to build/demo.json.
    """
    out = console()
    policy = read_policy(policy_file)
    requests = assign(read_traces(list(TRACES), limit=limit), seed=seed, organization=policy.organization)
    plan = Plan(requests, pace_of(requests, speed=speed, within=within), REPORTS_AFTERWARDS, resend_every=RESEND_EVERY)
    empty(data)
    try:
        outcome = uvloop.run(_demo(data, plan, policy, out))
    except SETUP as error:
        raise CliError(str(error)) from error
    finish(outcome, policy.organization, output, out)


def empty(data: Path) -> None:
    """Remove an earlier demo's data, and nothing else. Raises CliError."""
    if data.exists() and any(data.iterdir()) and not (data / "stack.lock").exists():
        raise CliError(f"{data} holds something that no stack wrote", advice="choose another --data folder")
    shutil.rmtree(data, ignore_errors=True)


def finish(outcome: Outcome, organization: str, output: Path, out: Console) -> None:
    """Print and write what was found. Raises Mismatch unless all sums agree and every decision comes out again."""
    print_outcome(outcome, organization, out)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(outcome.document(), indent=2) + "\n")
    out.print(f"figures: {output}")
    report_failures(outcome.tally, out)
    if outcome.rederived.decisions < outcome.tally.decided:
        raise Mismatch("not every decision was published", advice="the enforcer's log and metrics say why")
    if outcome.rederived.different:
        raise Mismatch("decisions come out otherwise when they are derived again", advice="they are listed above")
    if not outcome.sums.equal:
        raise Mismatch("the four sums differ", advice="`spendgate audit` says where; logs are in the data folder")


def print_outcome(outcome: Outcome, organization: str, out: Console) -> None:
    """Spending by level, budgets, latencies, and the reconciliation."""
    board, tally, at_ms = outcome.board, outcome.tally, now_ms()
    for title, level in (("projects", Level.PROJECT), ("teams", Level.TEAM), ("users", Level.USER)):
        lines = board.spend(organization, level, WindowKind.MONTH, at_ms)
        out.print(spend_table(f"{organization}: {title}", lines, limit=8))
    out.print(BudgetTable(f"{organization}: budgets", board.budgets(organization, at_ms)))
    out.print(f"{REPORTS_AFTERWARDS} reports afterwards and cannot be denied: what it takes part in may be overspent")
    refused = ", ".join(f"{count:,} by {budget}" for budget, count in tally.refusals.most_common())
    out.print(f"{tally.denied:,} requests denied, {tally.throttled:,} throttled: {refused or 'none'}", soft_wrap=True)
    out.print(f"{tally.fell_back:,} requests sent to a cheaper model, for which there was still room")
    if tally.last_refused is not None:
        why = f"why the last? `spendgate up --data FOLDER`, then `spendgate explain {tally.last_refused} --data FOLDER`"
        out.print(why, markup=False, soft_wrap=True)
    print_rederivation(outcome.rederived, out)
    out.print(f"{tally.resent:,} events sent twice on purpose, counted once")
    out.print(
        latency_table(
            (
                ("check, as the gateway sees it", percentiles(tally.check_ns)),
                ("usage sent → visible to the enforcer", percentiles(tally.fresh_ns)),
            )
        )
    )
    out.print(f"{outcome.events_per_s:,.0f} events/s end to end: first request sent → last charge in ClickHouse")
    out.print(sums_table(outcome.sums))


def print_rederivation(rederived: Rederivation, out: Console) -> None:
    """How many decisions were derived again, and those that came out otherwise."""
    different = rederived.different
    for line in different[:DIFFERENCES_SHOWN]:
        out.print(line, style="red", markup=False, soft_wrap=True)
    verdict = f"{rederived.decisions:,} decisions derived again from what they say they knew, {len(different):,} differ"
    out.print(verdict, soft_wrap=True)


async def _demo(data: Path, plan: Plan, policy: Policy, out: Console) -> Outcome:
    out.print("starting Kafka, ClickHouse and the services ...")
    async with Stack(data, ALL, environment=KEEP_ALL, report=lambda line: out.print(f"  {line}", style="dim")):
        connection = connect(data)
        async with open_api(connection) as api:
            answer = await apply_policy(api, policy, by="demo", reason="the demo", expected_version=0)
        out.print(
            f"policy version {answer['version']} of {policy.organization} is in force: {len(policy.budgets)} budgets"
        )
        speed = f"{plan.pace.speed:.0f} times faster" if plan.pace.speed else "as fast as possible"
        out.print(f"replaying {len(plan.requests):,} requests, {speed} than they came")
        tally, started = await replay(connection, plan, out)
        async with open_warehouse(connection.settings) as warehouse:
            return await _reconcile(connection, warehouse, plan.requests[0].organization, tally, started, out)


async def _reconcile(
    connection: Connection, warehouse: Warehouse, organization: str, tally: Tally, started: float, out: Console
) -> Outcome:
    charged = len(tally.admitted)
    if not await warehouse.await_requests(organization, charged, timeout_s=ARRIVE_WITHIN_S):
        out.print(f"not all {charged:,} charges are in ClickHouse after {ARRIVE_WITHIN_S:.0f} s", style="bold red")
    elapsed_s = perf_counter() - started
    board = await read_board(connection.settings)
    sums = Sums(
        offline=priced_offline(tally.admitted, out),
        balances=board.settled_nanousd(organization),
        clickhouse_raw=await warehouse.raw_nanousd(organization),
        clickhouse_rollup=await warehouse.rollup_nanousd(organization),
    )
    with out.status("deriving every decision again ..."):
        rederived = await rederive_all(connection.settings)
    return Outcome(tally, sums, charged / elapsed_s, board, rederived)


def priced_offline(admitted: list[Request], out: Console) -> int:
    """The trace's own sum, added up anew, with progress."""
    costs = recompute(admitted, from_ms(now_ms()))
    shown = out.is_terminal
    told = "pricing the trace again"
    return sum(track(costs, told, total=len(admitted), console=out, disable=not shown, transient=True))
