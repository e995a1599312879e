"""`spendgate report weekly`, `quarterly`, `accountability` and `focus`: governance reports and the FOCUS export."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import typer

from schemas.policy import Policy
from services.adapters.clickhouse import FAILURES, explain, open_async_client
from services.adapters.clock import now_ms
from services.adapters.focus.charges import TooMuch, focus_export
from services.adapters.warehouse.named import query
from services.adapters.warehouse.rows import Rows
from services.cli import options
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.render import console
from services.console.reports.desk import Desk, OrderError
from services.console.reports.render import Format
from services.core.governance.due import Kind
from services.core.period import PeriodError
from services.core.report_period import end_of, parse_period
from services.core.window import WindowKind, window_at

FOCUS_WINDOWS: Final = (WindowKind.DAY, WindowKind.WEEK, WindowKind.MONTH, WindowKind.QUARTER, WindowKind.YEAR)
FocusFormat = Literal["csv", "parquet"]

Form = Annotated[Format | None, typer.Option("--format", "-f", help="The form. Default: by the file's ending, or md.")]


def weekly(
    period: Annotated[str | None, typer.Option(help="A week, as 2026-W48. Default: the last whole one.")] = None,
    team: Annotated[str | None, typer.Option(help="Only this team, as project/team.")] = None,
    form: Form = None,
    output: options.Output = None,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Review a week: what was spent, what moved and who moved it, what is at risk, and what to do.

    A week that is not over is compared with as much of the week before.
    """
    _write("weekly", period, team, form, output, organization, data)


def quarterly(
    period: Annotated[str | None, typer.Option(help="The quarter to look back from, as 2026-Q4. Default: now.")] = None,
    form: Form = None,
    output: options.Output = None,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Plan the next quarter: the trend, what it will cost with an 80% interval, and budgets with their reasons.

    Nothing is changed by itself: `spendgate policy apply` does that.
    """
    _write("quarterly", period, None, form, output, organization, data)


def accountability(
    period: Annotated[str | None, typer.Option(help="A month, as 2026-11. Default: the last whole one.")] = None,
    form: Form = None,
    output: options.Output = None,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Say who answers for each budget, and who bears which part of everything that was spent, to the last digit."""
    _write("accountability", period, None, form, output, organization, data)


def focus(
    period: Annotated[
        str | None, typer.Option(help="2026-11-24, 2026-W48, 2026-11, 2026-Q4 or 2026. Default: the running month.")
    ] = None,
    form: Annotated[FocusFormat | None, typer.Option("--format", "-f", help="Default: by the file, or csv.")] = None,
    output: options.Output = None,
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Export charges as FOCUS 1.2 rows, by day, for any FinOps tool. BilledCost adds up to the charges exactly.

    What is spent without a known price is marked in x_Unpriced, and at an estimate in x_Unconfirmed.
    """
    wanted: FocusFormat = form or ("parquet" if output is not None and output.suffix == ".parquet" else "csv")
    if wanted == "parquet" and output is None:
        raise CliError("Parquet is no text to print", advice="name a file: -w focus.parquet")
    connection = options.connection_of(data)
    name, policies = _policies(connection, organization)
    _put(options.run(_focus(connection, name, policies, period, wanted), connection), output)


def _write(
    kind: Kind,
    period: str | None,
    team: str | None,
    form: Format | None,
    output: Path | None,
    organization: str | None,
    data: Path | None,
) -> None:
    wanted = form or _form_of(output)
    connection = options.connection_of(data)
    name, policies = _policies(connection, organization)
    text = options.run(_report(connection, policies, kind, name, period, team, wanted), connection)
    _put(text.encode(), output)


def _form_of(output: Path | None) -> Format:
    endings: Mapping[str, Format] = {".html": "html", ".htm": "html", ".md": "md", ".json": "json"}
    return "md" if output is None else endings.get(output.suffix.lower(), "md")


def _policies(connection: Connection, organization: str | None) -> tuple[str, dict[str, Policy]]:
    """The organization that is meant, and the policies in force."""
    board = options.run(options.board_of(connection), connection)
    name = options.the_organization(board.organizations, organization)
    return name, {each: Policy.model_validate(entry.policy) for each, entry in board.entries.items()}


async def _report(
    connection: Connection,
    policies: Mapping[str, Policy],
    kind: Kind,
    organization: str,
    period: str | None,
    team: str | None,
    form: Format,
) -> str:
    async with _asking(connection) as rows:
        try:
            report = await Desk(rows, policies, now_ms).report(kind, organization, period, team)
        except OrderError as error:
            raise CliError(f"--{error.field}: {error}") from error
        return report.rendered(form)


async def _focus(
    connection: Connection, organization: str, policies: Mapping[str, Policy], period: str | None, form: FocusFormat
) -> bytes:
    from services.adapters.focus.files import as_csv, as_parquet  # Arrow takes long to load, for this alone

    async with _asking(connection) as rows:
        policy = policies.get(organization)
        zone = ZoneInfo("UTC" if policy is None else policy.timezone)
        try:
            window = (
                window_at(WindowKind.MONTH, now_ms(), zone)
                if period is None
                else parse_period(period, zone, *FOCUS_WINDOWS)
            )
            found = await focus_export(rows, organization, window.start_ms, end_of(window), zone)
        except (PeriodError, TooMuch) as error:
            raise CliError(f"--period: {error}") from error
        return as_parquet(found) if form == "parquet" else as_csv(found).encode()


@asynccontextmanager
async def _asking(connection: Connection) -> AsyncIterator[Rows]:
    """Named queries of this installation's ClickHouse, with a sign of life for whoever waits. Raises Unreachable."""
    try:
        client = await open_async_client(connection.settings.clickhouse)
        try:
            with console(stderr=True).status("asking ClickHouse"):
                yield partial(query, client)
        finally:
            await client.close()
    except FAILURES as error:
        raise Unreachable(f"ClickHouse: {explain(error)}", advice="is the stack running? `spendgate up`") from error


def _put(content: bytes, output: Path | None) -> None:
    if output is None:
        typer.echo(content, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_bytes(content)
    except OSError as error:
        raise CliError(f"{output} cannot be written: {error.strerror or error}") from error
    console(stderr=True).print(f"written to {output} ({len(content):,} bytes)", markup=False)
