"""`python -m deploy.local --data DIR`: the whole stack until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.cache import SetupError
from deploy.local.process import StartError
from deploy.local.service import ALL
from deploy.local.stack import STACK_FILE, Stack
from services.adapters.topics import TopicsError


async def up(data_dir: Path, services: Sequence[str] = ALL, ports: Mapping[str, int] | None = None) -> None:
    """Run a stack that restarts what dies, and say so on stdout, until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_hold(Stack(data_dir, services, ports=ports, restart=True, report=_say), stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await starting


async def _hold(stack: Stack, stop: asyncio.Event) -> None:
    async with stack:
        _say(f"ready; addresses and keys are in {stack.data_dir / STACK_FILE}, Ctrl-C stops everything")
        await stop.wait()
        _say("stopping")


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """The exit code: 1 when the stack could not start; what to do is on stderr."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".spendgate"), help="folder for all data and logs")
    parser.add_argument("services", nargs="*", default=ALL, help="instances to run, such as aggregator-0 aggregator-1")
    arguments = parser.parse_args()
    try:
        asyncio.run(up(arguments.data, arguments.services))
    except (SetupError, StartError, TopicsError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
