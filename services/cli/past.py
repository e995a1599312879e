"""Reading the past of an organization: its ledger partition, folded up to an instant or an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from time import perf_counter
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from aiokafka.errors import KafkaError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.adapters.settings import Settings
from services.adapters.topics import TopicsError, partition_count
from services.aggregator.errors import LedgerMissing
from services.aggregator.replay import last_offset, read_ledger
from services.cli.connection import Connection
from services.cli.errors import CliError, Unreachable
from services.cli.render import console
from services.core.as_of import Instant, Mark, Past, Place, parse_mark
from services.core.effects import PolicyEntry
from services.core.events import from_ms
from services.core.period import PeriodError
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState

UTC: Final = ZoneInfo("UTC")
LONG_RECORDS: Final = 2_000
"""From how many records on the reading is worth a progress bar."""

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="INSTANT|PARTITION:OFFSET",
        help="As of then: 2026-11-24T13:00 (UTC, or with an offset), or what `status` calls ledger 2:17.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say on stderr what was read of the ledger.")]


def mark_of(text: str) -> Mark:
    """The mark that a person wrote. Raises CliError, also for one that lies ahead."""
    try:
        mark = parse_mark(text, UTC)
    except PeriodError as error:
        raise CliError(f"--at: {error}") from error
    if isinstance(mark, Instant) and mark.at_ms > now_ms():
        raise CliError(f"--at: {from_ms(mark.at_ms):%Y-%m-%d %H:%M:%S} UTC is still to come")
    return mark


async def read_past(connection: Connection, organization: str, mark: Mark, *, verbose: bool = False) -> Past:
    """All that the ledger says of an organization up to the mark. Raises CliError.

    What other organizations of its partition did is folded too: they share its enforcers.
    """
    started = perf_counter()
    try:
        past, last = await _begin(connection.settings, organization, mark)
        with _progress(last) as taken:
            async with aclosing(read_ledger(connection.settings, past.state.partition, last)) as batches:
                async for batch in batches:
                    past.take(batch)
                    taken(batch)
                    if past.complete:
                        break
    except LedgerMissing as error:
        raise CliError(
            f"the past cannot be read: {error}", advice="a status without --at needs no more than the changelogs"
        ) from error
    except (TopicsError, KafkaError) as error:
        raise Unreachable(f"Kafka: {error}", advice="is the stack running? `spendgate up`") from error
    if verbose:
        console(stderr=True).print(_told(past, perf_counter() - started), markup=False, soft_wrap=True)
    return past


def entry_of(past: Past, organization: str) -> PolicyEntry | None:
    """The policy that was in force then; None when there was none yet."""
    return past.state.organization(organization).entry


def told_mark(past: Past) -> str:
    """Which past it is, in words."""
    position = past.state.position
    reached = f"ledger {past.state.partition}:{position.offset}" if position.offset >= 0 else "an empty ledger"
    return f"as of {from_ms(past.now_ms):%Y-%m-%d %H:%M:%S} UTC, {reached}"


async def _begin(settings: Settings, organization: str, mark: Mark) -> tuple[Past, int]:
    """A past of nothing yet, and the last record that may have to be read for it."""
    partition = partition_for(organization, await partition_count(settings))
    last = await last_offset(settings, partition)
    if isinstance(mark, Place):
        if mark.partition != partition:
            raise CliError(
                f"--at: partition {mark.partition} of the ledger is not that of {organization}",
                advice=f"write {partition}:{mark.offset}",
            )
        if mark.offset > last:
            raise CliError(f"--at: partition {partition} of the ledger ends at {last}, {mark.offset} is still to come")
        last = mark.offset
    return Past(LedgerState(partition, PriceBook.bundled()), mark), last


@contextmanager
def _progress(last: int) -> Iterator[Callable[[Sequence[Record]], None]]:
    """A bar on stderr while a long ledger is read; it ends early where an instant is reached before its end."""
    columns = TextColumn("{task.description}"), BarColumn(bar_width=40), TaskProgressColumn(), TimeRemainingColumn()
    out = console(stderr=True)
    silent = last < LONG_RECORDS or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=silent) as progress:
        task = progress.add_task("reading the ledger", total=last + 1)

        def taken(batch: Sequence[Record]) -> None:
            progress.update(task, completed=batch[-1].offset + 1)

        yield taken


def _told(past: Past, took_s: float) -> str:
    read = f"{past.records:,} records with {past.events:,} events ({past.size_bytes / 1e6:,.1f} MB)"
    speed = f"{past.records / took_s:,.0f} records and {past.events / took_s:,.0f} events a second"
    return f"read {read} of ledger partition {past.state.partition} in {took_s:.1f} s: {speed}"
