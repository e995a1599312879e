"""`spendgate invoice`: a provider's invoice beside our own charges, and the corrections that make them equal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from clickhouse_connect.driver import AsyncClient
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.adapters.clickhouse import open_async_client
from services.adapters.clock import now_ms
from services.cli import options
from services.cli.api import open_api
from services.cli.connection import Connection
from services.cli.errors import CliError, Mismatch
from services.cli.invoice_desk import corrections, drift_of, in_batches
from services.cli.invoice_file import KINDS, read_invoice
from services.cli.render import console, dollars, exact_dollars, table
from services.cli.warehouse import open_warehouse
from services.core.events import UsageCorrected
from services.core.invoice import Cell, Drift, Line, names_of
from services.core.money import format_usd, parse_usd
from services.core.price_list import PriceList

BATCH: Final = 500
ARRIVE_WITHIN_S: Final = 60.0
PERCENT: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?%?")
app = typer.Typer(no_args_is_help=True, help="Compare a provider's invoice with what was charged, and correct it.")
_encode = msgspec.json.encode

File = Annotated[Path, typer.Argument(metavar="FILE", help=f"The invoice: {KINDS}.")]
Provider = Annotated[str | None, typer.Option(help="Whose invoice it is, if no column says so: openai, anthropic ...")]
DayColumn = Annotated[str | None, typer.Option(help="The column with the day, of a table.")]
ModelColumn = Annotated[str | None, typer.Option(help="The column with the model.")]
CostColumn = Annotated[str | None, typer.Option(help="The column with the cost in dollars.")]
Tolerance = Annotated[str, typer.Option(help="A model's day may differ by this share of the invoice.")]
LeastUsd = Annotated[str, typer.Option(help="And by this many dollars, whatever the share.")]


@dataclass(frozen=True, slots=True)
class Compared:
    """An invoice and what it was compared with."""

    organization: str
    name: str
    digest: str
    drift: Drift
    beyond: tuple[Cell, ...]


@app.command("check", epilog="Example:  spendgate invoice check openai-costs-2026-11.json --tolerance 0.5%")
def check(
    file: File,
    provider: Provider = None,
    day_column: DayColumn = None,
    model_column: ModelColumn = None,
    cost_column: CostColumn = None,
    tolerance: Tolerance = "0.5%",
    least_usd: LeastUsd = "0.01",
    as_: options.Format = "table",
    organization: options.Organization = None,
    data: options.Data = None,
) -> None:
    """Put the invoice in FILE beside the charges of its days, by model and UTC day. Exit code 1: they differ.

    Days are those of the provider: UTC. Models are matched as the price list knows them. What the invoice has for no
    model, such as searches, is told beside. Nothing is changed.
    """
    connection = options.connection_of(data)
    told = _told(day_column, model_column, cost_column)
    lines, digest = read_invoice(file, told, provider)
    whose = options.need_organization(organization, connection)
    compared = options.run(_compare(connection, whose, file.name, digest, lines, tolerance, least_usd), connection)
    if as_ == "json":
        typer.echo(json.dumps(_document(compared), indent=2))
    else:
        _print(compared)
    if compared.beyond:
        raise typer.Exit(1)


@app.command("post", epilog="Example:  spendgate invoice post openai-costs-2026-11.json --dry-run")
def post(
    file: File,
    provider: Provider = None,
    day_column: DayColumn = None,
    model_column: ModelColumn = None,
    cost_column: CostColumn = None,
    tolerance: Tolerance = "0%",
    least_usd: LeastUsd = "0",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be posted, and post nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    organization: options.Organization = None,
    data: options.Data = None,
    ingest_url: options.IngestUrl = None,
    token: options.Token = None,
) -> None:
    """Correct the charges of the invoice's days until they add up to it, to the nano-dollar.

    Each model's day is spread over its charges: what the provider charged for requests that had no price goes to
    these, by their tokens; else to all, by what they cost. Corrections are events (`usage.corrected`) that say why, and
    rows of their own in every report. A model's day without any charge of ours is told, and never invented; one that
    the invoice does not name is told, and left as it is. Posted twice, nothing changes the second time. An export
    rounded to cents, as of Anthropic's Console, is best posted with --least-usd 0.01.
    """
    connection = options.connection_of(data, ingest_url, None, token)
    told = _told(day_column, model_column, cost_column)
    lines, digest = read_invoice(file, told, provider)
    whose = options.need_organization(organization, connection)
    options.run(_arrival(connection), connection)
    compared = options.run(_compare(connection, whose, file.name, digest, lines, tolerance, least_usd), connection)
    _print(compared)
    if not compared.beyond:
        return
    if not dry_run and not yes and not typer.confirm("Post corrections for these?", default=False, err=True):
        raise typer.Exit(1)
    options.run(_post(connection, compared, dry_run=dry_run), connection)


async def _arrival(connection: Connection) -> None:
    """Wait until every charge is in ClickHouse: what is on its way, corrections among it, would be corrected twice."""
    board = await options.board_of(connection)
    async with open_warehouse(connection.settings) as warehouse:
        if not await warehouse.await_charges(board.charges, timeout_s=ARRIVE_WITHIN_S):
            raise CliError(
                f"not every charge is in ClickHouse after {ARRIVE_WITHIN_S:g} s: nobody can say what to correct",
                advice="is the sink running? Post again once `spendgate audit` says that all have arrived",
            )


def _told(day: str | None, model: str | None, cost: str | None) -> dict[str, str]:
    return {role: name for role, name in (("day", day), ("model", model), ("cost", cost)) if name}


@asynccontextmanager
async def _warehouse(connection: Connection) -> AsyncIterator[AsyncClient]:
    client = await open_async_client(connection.settings.clickhouse)
    try:
        yield client
    finally:
        await client.close()


async def _compare(
    connection: Connection, whose: str, name: str, digest: str, lines: Sequence[Line], tolerance: str, least_usd: str
) -> Compared:
    points, least = _points(tolerance), parse_usd(least_usd)
    async with _warehouse(connection) as client:
        drift = await drift_of(client, whose, lines, names_of(PriceList.bundled()))
    return Compared(whose, name, digest, drift, drift.beyond(points, least))


def _points(text: str) -> int:
    match = PERCENT.fullmatch(text)
    if match is None:
        raise CliError(f"{text!r} is no share", advice="write 0.5%")
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))


async def _post(connection: Connection, compared: Compared, *, dry_run: bool) -> None:
    names, why = names_of(PriceList.bundled()), f"{compared.digest} invoice {compared.name}"
    accepted = left = 0
    refused: list[str] = []
    async with _warehouse(connection) as client, open_api(connection) as api:
        with _progress() as progress:
            task = progress.add_task("correcting", total=sum(cell.correctable for cell in compared.beyond))
            each_cell = corrections(
                client, compared.organization, compared.beyond, names, why=why[:2000], now_ms=now_ms()
            )
            async for _cell, events, remaining in each_cell:
                left += remaining
                for batch in in_batches(events, BATCH):
                    if dry_run:
                        accepted += len(batch)
                        continue
                    receipt = await api.report(_lines(batch))
                    fates = [event for event in receipt["events"] if event["fate"] != "accepted"]
                    accepted += len(batch) - len(fates)
                    refused += [f"{fate['id']}: {fate.get('reason')}" for fate in fates]
                progress.advance(task)
    out = console()
    verb = "would be posted" if dry_run else "posted"
    out.print(f"{accepted:,} corrections {verb}", style="green")
    if left:
        out.print(f"{exact_dollars(left)} belong to no charge of ours: they are not posted", style="yellow")
    unnamed = [cell for cell in compared.beyond if not cell.correctable]
    if unnamed:
        charged = exact_dollars(sum(cell.ours_nanousd or 0 for cell in unnamed))
        out.print(f"{len(unnamed)} days of models are not on the invoice: {charged} stay as charged", style="yellow")
    if refused:
        raise Mismatch("\n".join([f"{len(refused)} corrections were refused", *refused[:5]]))


def _lines(events: Sequence[UsageCorrected]) -> bytes:
    return b"\n".join(map(_encode, events)) + b"\n"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _print(compared: Compared) -> None:
    out, drift = console(), compared.drift
    made = table(f"{compared.organization}: {compared.name}", ("day", "model", ">ours", ">invoice", ">difference", ">"))
    for cell in compared.beyond:
        made.add_row(
            cell.key.day.isoformat(),
            f"{cell.key.provider}/{cell.key.model}",
            "nothing" if cell.ours_nanousd is None else dollars(cell.ours_nanousd, places=4, unpriced=cell.unpriced),
            "nothing" if cell.theirs_nanousd is None else dollars(cell.theirs_nanousd, places=4),
            dollars(cell.difference_nanousd, places=4),
            _share(cell),
        )
    if compared.beyond:
        out.print(made)
    ours, theirs = drift.ours_nanousd, drift.theirs_nanousd
    out.print(
        f"{len(drift.cells):,} days of models, {len(compared.beyond):,} differ; ours {exact_dollars(ours)}, "
        f"the invoice {exact_dollars(theirs)}, a difference of {exact_dollars(theirs - ours)}"
    )
    if drift.besides_nanousd:
        out.print(f"the invoice has {exact_dollars(drift.besides_nanousd)} besides, for no model: not compared")


def _share(cell: Cell) -> str:
    if not cell.theirs_nanousd:
        return ""
    return f"{cell.difference_nanousd * 1000 // abs(cell.theirs_nanousd) / 10:+.1f}%"


def _document(compared: Compared) -> dict[str, Any]:
    drift = compared.drift
    return {
        "organization": compared.organization,
        "invoice": compared.name,
        "digest": compared.digest,
        "ours_usd": format_usd(drift.ours_nanousd),
        "invoice_usd": format_usd(drift.theirs_nanousd),
        "besides_usd": format_usd(drift.besides_nanousd),
        "cells": [_cell(cell, cell in compared.beyond) for cell in drift.cells],
    }


def _cell(cell: Cell, beyond: bool) -> dict[str, Any]:
    return {
        "day": cell.key.day.isoformat(),
        "provider": cell.key.provider,
        "model": cell.key.model,
        "ours_usd": None if cell.ours_nanousd is None else format_usd(cell.ours_nanousd),
        "invoice_usd": None if cell.theirs_nanousd is None else format_usd(cell.theirs_nanousd),
        "difference_usd": format_usd(cell.difference_nanousd),
        "unpriced": cell.unpriced,
        "beyond": beyond,
    }
