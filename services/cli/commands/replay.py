"""`spendgate replay`: play the requests of a CSV trace against a running installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.adapters.keys import Role
from services.cli import options
from services.cli.cast import ORGANIZATION, REPORTS_AFTERWARDS, assign
from services.cli.connection import Connection
from services.cli.errors import CliError
from services.cli.render import console
from services.cli.session import DEFAULT_WITHIN_S, Plan, pace_of, report_failures
from services.cli.session import replay as play
from services.cli.tables import latency_table
from services.cli.tally import percentiles
from services.cli.trace import BY_USUAL_NAMES, Columns, TraceError, TraceRow, merge, read_trace

COLUMNS_PANEL = "Columns of the trace (found by their usual names)"
Traces = Annotated[list[Path], typer.Argument(help="CSV files with a header, plain or gzip.")]
Speed = Annotated[
    float | None, typer.Option(min=0, help="Times real time; 0: as fast as possible. Default: what --within asks for.")
]
Within = Annotated[float, typer.Option(min=1, help="Squeeze the trace into so many seconds.")]
Seed = Annotated[int, typer.Option(help="Of the rule that assigns users, features and models.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first requests of each trace.")]


def replay(
    traces: Traces,
    organization: Annotated[
        str, typer.Option("--org", "--organization", "-o", help="Whose spending it is.")
    ] = ORGANIZATION,
    model: Annotated[
        str | None, typer.Option(help="Every request goes to this model; default: a seeded mix of real ones.")
    ] = None,
    seed: Seed = 1,
    speed: Speed = None,
    within: Within = DEFAULT_WITHIN_S,
    limit: Limit = None,
    in_flight: Annotated[int, typer.Option(min=1, max=4096, help="Requests in flight at most.")] = 256,
    time_column: Annotated[
        str | None, typer.Option(rich_help_panel=COLUMNS_PANEL, help="ISO 8601 times, or seconds.")
    ] = None,
    input_column: Annotated[str | None, typer.Option(rich_help_panel=COLUMNS_PANEL, help="Input tokens.")] = None,
    output_column: Annotated[str | None, typer.Option(rich_help_panel=COLUMNS_PANEL, help="Output tokens.")] = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    enforcer_url: options.EnforcerUrl = None,
    token: options.Token = None,
) -> None:
    """Replay real traffic: times moved to now and squeezed, users, features and models assigned by a seeded rule.

    Most requests are checked before and settled after the call; those of one project are reported afterwards.
    """
    connection = options.connection_of(data, ingest_url, enforcer_url, token, role=Role.EDGE)
    rows = read_traces(traces, Columns(time_column, input_column, output_column), limit)
    requests = assign(rows, seed=seed, organization=organization, model=model)
    pace = pace_of(requests, speed=speed, within=within)
    options.run(_replay(connection, Plan(requests, pace, REPORTS_AFTERWARDS, in_flight)), connection)


def read_traces(paths: list[Path], columns: Columns = BY_USUAL_NAMES, limit: int | None = None) -> list[TraceRow]:
    """Several traces as one. Raises CliError."""
    try:
        return merge(read_trace(path, columns, limit=limit) for path in paths)
    except TraceError as error:
        raise CliError(str(error)) from error


async def _replay(connection: Connection, plan: Plan) -> None:
    out = console()
    out.print(f"replaying {len(plan.requests):,} requests of {plan.requests[0].organization}")
    tally, _ = await play(connection, plan, out)
    out.print(latency_table((("check", percentiles(tally.check_ns)), ("sent to visible", percentiles(tally.fresh_ns)))))
    if tally.last_refused is not None:
        out.print(f"why was the last one refused? spendgate explain {tally.last_refused}", soft_wrap=True)
    report_failures(tally, out)
