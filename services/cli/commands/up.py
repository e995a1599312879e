"""`spendgate up`: everything on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from deploy.local.cache import SetupError
from deploy.local.process import StartError
from deploy.local.service import ALL, kind_of
from deploy.local.stack import STACK_FILE, Stack
from services.adapters.topics import TopicsError
from services.cli.connection import DATA_DIR
from services.cli.errors import CliError
from services.cli.render import console, table

SETUP = (SetupError, StartError, TopicsError)
"""What starting a stack raises when it cannot start; the messages say what to do."""


def up(
    services: Annotated[
        list[str] | None, typer.Argument(help="What to run, such as: ingest enforcer sink aggregator-0 aggregator-1.")
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", envvar="SPENDGATE_DATA", help="Folder for all data, logs and keys.")
    ] = DATA_DIR,
    port: Annotated[
        list[str] | None, typer.Option("--port", help="NAME=NUMBER: ask for a port; others are chosen and kept.")
    ] = None,
) -> None:
    """Run Kafka, ClickHouse and every service on this machine until Ctrl-C, which lets requests in flight finish.

    What dies is started again. Data, logs and API keys stay in the data folder: the next `up` goes on from there.
    """
    out = console()
    stack = Stack(data, services or ALL, ports=dict(map(_port, port or ())), restart=True, report=out.print)
    try:
        uvloop.run(_run(stack, out))
    except SETUP as error:
        raise CliError(str(error)) from error


def overview(stack: Stack) -> Table:
    """Where everything listens, and which key opens it."""
    made = table("Spendgate is running", ("what", "where"))
    for name in stack.services:
        made.add_row(name, stack.url(name))
    made.add_row("kafka", stack.kafka)
    made.add_row("clickhouse", stack.clickhouse.rpartition("@")[2])
    made.add_section()
    for role, use in (("edge", "gateways: check, settle, report"), ("viewer", "read"), ("admin", "everything")):
        made.add_row(f"{role} key", f"{stack.credentials.folder / f'{role}.token'}  ({use})")
    made.add_row("logs", str(stack.logs))
    made.add_row("addresses", str(stack.data_dir / STACK_FILE))
    return made


def _next(stack: Stack) -> str:
    console = next((stack.url(name) for name in stack.services if kind_of(name) == "console"), None)
    look = f" and look at it on {console}, signed in with the viewer key" if console else ""
    return f"Next: [bold]spendgate policy apply examples/policies/acme.yaml[/bold]{look}. Ctrl-C stops everything."


def _port(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdigit() or int(number) > 65_535:
        raise typer.BadParameter(f"{text!r} is not NAME=NUMBER, such as ingest=8081")
    return name, int(number)


async def _run(stack: Stack, out: Console) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    held = asyncio.create_task(_hold(stack, stop, out))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([held, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    await held


async def _hold(stack: Stack, stop: asyncio.Event, out: Console) -> None:
    out.print("starting Kafka and ClickHouse, then the services (the first time takes longer) ...")
    async with stack:
        if not stop.is_set():
            out.print(overview(stack))
            out.print(_next(stack), soft_wrap=True)
        await stop.wait()
        out.print("stopping: requests in flight finish, what was acknowledged is kept ...")
    out.print("stopped")
