"""`spendgate whatif`: what other policies would have done with the requests of a period."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from schemas.policy import Policy
from services.adapters.clickhouse import open_async_client
from services.adapters.clock import now_ms
from services.adapters.keys import Role
from services.cli import options
from services.cli.commands.policy import read_policy
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.past_requests import past_requests
from services.cli.render import console, dollars, short_scope, table
from services.cli.reports import period
from services.core.decide import Action
from services.core.events import from_ms, to_ms
from services.core.money import format_usd
from services.core.policy import CompiledPolicy
from services.core.pricing import PriceBook
from services.core.whatif import Account, Totals, account
from services.core.window import window_at

By = Literal["total", "project", "team", "user", "budget", "model"]
COLUMNS = ("", ">requests", ">allowed", ">other model", ">throttled", ">denied", ">it was", ">had been", ">saved")
NOTES = (
    "A request that was denied then counts with the most that it could have cost. Boosts, and throttled requests that "
    "never came again, are not replayed; budgets in total begin with the period; a priority that no kept decision "
    "names is taken to be normal."
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One policy, where it was read from, and what it would have done."""

    name: str
    account: Account


def whatif(
    file: Annotated[Path, typer.Argument(metavar="POLICY", help="The policy to try, as YAML.")],
    other: Annotated[
        Path | None, typer.Argument(metavar="[OTHER]", help="A second policy, to see the two side by side.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this instant; default: the first of this month (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until before this instant; default: the end of today.")] = None,
    by: Annotated[By, typer.Option(help="What the lines of the table are.")] = "total",
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many lines at most, the largest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
    data: options.Data = None,
) -> None:
    """Decide the requests of a period again, as if POLICY had been in force.

    Tells what would have been denied, throttled or moved to cheaper models, and what that would have saved. The same
    code decides that decides in the enforcer, over what each request really used. Nothing is changed.
    """
    connection = options.connection_of(data, role=Role.VIEWER)
    policies = [(path.name, read_policy(path)) for path in (file, other) if path is not None]
    organization = policies[0][1].organization
    if any(policy.organization != organization for _, policy in policies):
        raise CliError(
            "the two policies are of different organizations", advice="compare policies of the same organization"
        )
    begin, end = period(since, until, from_ms(now_ms()))
    scenarios = options.run(_replay(connection, policies, begin, min(end, from_ms(now_ms()))), connection)
    if as_json:
        typer.echo(json.dumps(_document(organization, begin, end, scenarios), indent=2))
        return
    _print(organization, scenarios, by, top)


async def _replay(
    connection: Connection, policies: Sequence[tuple[str, Policy]], begin: datetime, end: datetime
) -> list[Scenario]:
    compiled = [CompiledPolicy.compile(policy, version=1) for _, policy in policies]
    reruns = account(compiled, PriceBook.bundled())
    start_ms, end_ms = to_ms(begin), to_ms(end)
    warm_ms = windows_begin(compiled, start_ms)
    client = await open_async_client(connection.settings.clickhouse)
    try:
        with progress_bar(end_ms - warm_ms) as progress:
            task = progress.add_task("deciding again", total=end_ms - warm_ms)
            stretches = past_requests(client, compiled[0].organization, warm_ms, end_ms)
            async with aclosing(stretches) as found:
                async for until_ms, requests in found:
                    for rerun, totals in reruns:
                        for request in requests:
                            if request.at_ms < start_ms:
                                rerun.count(request)
                            else:
                                totals.add(request, rerun.offer(request))
                    progress.update(task, completed=until_ms - warm_ms)
    finally:
        await client.close()
    return [Scenario(name, totals) for (name, _), (_, totals) in zip(policies, reruns, strict=True)]


def windows_begin(policies: Sequence[CompiledPolicy], start_ms: int) -> int:
    """Where the earliest window began that is open at `start_ms`: what was spent in it since counts too."""
    starts = [window_at(budget.window, start_ms, policy.zone) for policy in policies for budget in policy.budgets]
    return min([start_ms, *[window.start_ms for window in starts if window.end_ms is not None]])


def progress_bar(length_ms: int) -> Progress:
    """How far through a period of the past a command is."""
    columns = TextColumn("{task.description}"), BarColumn(bar_width=40), TaskProgressColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console(stderr=True), transient=True, disable=length_ms <= 0)


def _print(organization: str, scenarios: Sequence[Scenario], by: By, top: int) -> None:
    out = console()
    for scenario in scenarios:
        made = table(f"{organization} under {scenario.name}", COLUMNS)
        lines = _lines(scenario.account, by)
        for name, totals in lines[:top]:
            made.add_row(name, *cells(totals))
        if len(lines) > top:
            made.caption = f"{len(lines) - top} more: --top {len(lines)}"
        out.print(made)
    out.print(NOTES, style="dim", soft_wrap=True)


def _lines(found: Account, by: By) -> list[tuple[str, Totals]]:
    if by == "total":
        return [("all", found.all)]
    if by in ("budget", "model"):
        named = found.budgets if by == "budget" else found.models
        return _largest(list(named.items()))
    own = [(scope, totals) for scope, totals in found.scopes.items() if scope.rpartition("/")[2].startswith(f"{by}:")]
    return _largest([(short_scope(scope), totals) for scope, totals in own])


def _largest(lines: list[tuple[str, Totals]]) -> list[tuple[str, Totals]]:
    return sorted(lines, key=lambda line: (-line[1].was_nanousd, line[0]))


def cells(totals: Totals) -> list[str]:
    """The figures of a line, beneath `COLUMNS`."""
    actions = [totals.actions[action] for action in (Action.ALLOW, Action.FALLBACK, Action.THROTTLE, Action.DENY)]
    spent = totals.spent_nanousd + totals.regained_nanousd
    saved = totals.spared_nanousd + totals.saved_nanousd
    money = dollars(totals.was_nanousd), dollars(spent, unpriced=totals.unpriced), dollars(saved)
    return [f"{totals.requests:,}", *[f"{count:,}" for count in actions], *money]


def _document(organization: str, begin: datetime, end: datetime, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    return {
        "organization": organization,
        "since": begin.isoformat(),
        "until": end.isoformat(),
        "scenarios": [
            {
                "policy": scenario.name,
                "total": plain(scenario.account.all),
                **{
                    name: {key: plain(totals) for key, totals in _largest(list(found.items()))}
                    for name, found in (
                        ("scopes", scenario.account.scopes),
                        ("budgets", scenario.account.budgets),
                        ("models", scenario.account.models),
                    )
                },
            }
            for scenario in scenarios
        ],
    }


def plain(totals: Totals) -> dict[str, Any]:
    """The same for programs."""
    return {
        "requests": totals.requests,
        **{action.value: totals.actions[action] for action in Action},
        "unpriced": totals.unpriced,
        "was_usd": format_usd(totals.was_nanousd),
        "spent_usd": format_usd(totals.spent_nanousd),
        "regained_usd_max": format_usd(totals.regained_nanousd),
        "spared_usd": format_usd(totals.spared_nanousd),
        "saved_usd": format_usd(totals.saved_nanousd),
    }
