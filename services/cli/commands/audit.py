"""`spendgate audit`: is every number what the ledger says? Rows, roll-ups, balances, and the ledger folded anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiokafka.errors import KafkaError
from rich.text import Text

from services.adapters.clickhouse import open_client
from services.adapters.settings import Settings
from services.adapters.topics import TopicsError
from services.aggregator.errors import LedgerMissing
from services.aggregator.image import Busy
from services.aggregator.replay import replay
from services.cli import options
from services.cli.board import Board
from services.cli.connection import Connection
from services.cli.errors import CliError, Mismatch, Unreachable
from services.cli.render import console, dollars, table
from services.cli.warehouse import open_warehouse
from services.core.pricing import PriceBook
from services.sink.audit import Check
from services.sink.audit import audit as audit_sink

DIFFERENCES_SHOWN = 5
ARRIVE_WITHIN_S = 60.0


def audit(data: options.Data = None) -> None:
    """Check that nothing is missing or doubled anywhere. Do it while no usage arrives. Exit code 0: all exact.

    Charges in ClickHouse are gapless and equal their roll-ups; balances equal both; folding the whole ledger anew gives
    the recorded balances and audit entries, byte for byte.
    """
    connection = options.connection_of(data)
    wrong = options.run(_audit(connection), connection)
    if wrong:
        raise Mismatch(
            f"{wrong} checks failed", advice="run it again at rest: rows on their way to ClickHouse show as differences"
        )


async def _audit(connection: Connection) -> int:
    out = console()
    made = table("Audit", ("", "what", "found"))
    wrong = 0
    with out.status("reading ClickHouse and the ledger ..."):
        async with aclosing(_checks(connection)) as checks:
            async for check in checks:
                wrong += not check.exact
                made.add_row(Text("ok", "green") if check.exact else Text("WRONG", "bold red"), check.name, check.found)
    out.print(made)
    return wrong


async def _checks(connection: Connection) -> AsyncGenerator[Check, None]:
    board = await options.board_of(connection)
    yield await _arrival_check(connection, board)
    for check in await asyncio.to_thread(_sink_checks, connection.settings):
        yield check
    for organization in board.organizations:
        yield await _sums_check(connection, board, organization)
    yield await _replay_check(connection.settings)


async def _arrival_check(connection: Connection, board: Board) -> Check:
    """Rows may be on their way still: give them a moment before anything is compared."""
    posted = sum(board.charges.values())
    async with open_warehouse(connection.settings) as warehouse:
        arrived = await warehouse.await_charges(board.charges, timeout_s=ARRIVE_WITHIN_S)
        stored = sum((await warehouse.charges()).values())
    return Check("charges posted have arrived", arrived, f"{posted:,} posted, {stored:,} in ClickHouse")


def _sink_checks(settings: Settings) -> list[Check]:
    with open_client(settings.clickhouse) as client:
        return list(audit_sink(client).checks)


async def _sums_check(connection: Connection, board: Board, organization: str) -> Check:
    async with open_warehouse(connection.settings) as warehouse:
        sums = {
            "balances": board.settled_nanousd(organization),
            "charges": await warehouse.raw_nanousd(organization),
            "roll-up": await warehouse.rollup_nanousd(organization),
        }
    exact = len(set(sums.values())) == 1
    found = dollars(sums["balances"], places=9)
    told = ", ".join(f"{name} {dollars(amount, places=9)}" for name, amount in sums.items())
    return Check(f"sums of {organization}", exact, found if exact else told)


async def _replay_check(settings: Settings) -> Check:
    try:
        found = await replay(settings, PriceBook.bundled())
    except (LedgerMissing, Busy) as error:
        raise CliError(str(error)) from error
    except (TopicsError, KafkaError) as error:
        raise Unreachable(f"Kafka: {error}", advice="check SPENDGATE_KAFKA and SPENDGATE_TOPIC_PREFIX") from error
    text = f"{found.records:,} records give {found.values:,} values, {len(found.differences):,} differ"
    shown = "".join(f"\n{difference}" for difference in found.differences[:DIFFERENCES_SHOWN])
    return Check("the ledger, folded anew", not found.differences, text + shown)
