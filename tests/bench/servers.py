"""Server processes for benchmarks, each on a core of its own choosing, with what they take of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.adapters.settings import Settings
from tests.bench.loaded import load_balances
from tests.integration.enforcing import slow_aggregator

PREFIX = "bench."
LOADED = 100_000
"""Balances of others that the ledger has besides."""
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves HTTP on a port, or the RPC on a socket, or both."""

    pid: int
    folder: Path
    name: str

    @property
    def port(self) -> int:
        """Its port, once it listens."""
        return int(self.port_file.read_text())

    @property
    def port_file(self) -> Path:
        """Where it writes its port."""
        return self.folder / f"{self.name}.port"

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / f"{self.name}.sock"

    def cpu_s(self) -> float:
        """Seconds of processor time so far, user and system, to the nanosecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def resident_mib(self) -> float:
        """Memory that it holds."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_MIB


def environment(kafka: str, keys_file: Path, data_dir: Path) -> dict[str, str]:
    """What every service of a benchmark is told; its data directory is made."""
    data_dir.mkdir(exist_ok=True)
    return {
        "SPENDGATE_KAFKA": kafka,
        "SPENDGATE_TOPIC_PREFIX": PREFIX,
        "SPENDGATE_KEYS_FILE": str(keys_file),
        "SPENDGATE_DATA_DIR": str(data_dir),
    }


@asynccontextmanager
async def aggregator(
    folder: Path, kafka: str, keys_file: Path, budgets: Sequence[Mapping[str, Any]], *, loaded: int = LOADED
) -> AsyncIterator[Server]:
    """A process of the aggregator on the last core, beside the load, once acme's policy is in force.

    The ledger has so many balances of other organizations besides.
    """
    settings = Settings(kafka=kafka, topic_prefix=PREFIX, keys_file=keys_file)
    async with slow_aggregator(settings) as hand:
        await load_balances(settings, loaded)
        await hand.policy("acme", *budgets)
    told = environment(kafka, keys_file, folder / "aggregator")
    core = max(os.sched_getaffinity(0))
    async with server(folder, "aggregator", ["-m", "services.aggregator"], told, core=core) as found:
        await ready(found.port)
        yield found


@asynccontextmanager
async def enforcer(folder: Path, kafka: str, keys_file: Path, **further: str) -> AsyncIterator[Server]:
    """A process of the enforcer that has restored what there is; HTTP and the RPC."""
    told = environment(kafka, keys_file, folder / "enforcer") | further
    told["SPENDGATE_RPC_SOCKET"] = str(folder / "enforcer.sock")
    async with server(folder, "enforcer", ["-m", "services.enforcer"], told) as found:
        await ready(found.port)
        yield found


@asynccontextmanager
async def server(
    folder: Path,
    name: str,
    arguments: Sequence[str],
    told: Mapping[str, str],
    *,
    core: int | None = None,
    rpc_only: bool = False,
) -> AsyncIterator[Server]:
    """A server process that listens, on the first core unless told otherwise."""
    variables = {**os.environ, **told, "SPENDGATE_PORT_FILE": str(folder / f"{name}.port")}
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=variables, stdout=log, stderr=log
        )
    found = Server(process.pid, folder, name)
    try:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0)) if core is None else core})
        while not (found.socket if rpc_only else found.port_file).exists():
            assert process.returncode is None, (folder / f"{name}.log").read_text()
            await asyncio.sleep(0.02)
        yield found
    finally:
        process.terminate()
        await process.wait()


async def ready(port: int) -> None:
    """Wait until a service says that it is ready."""
    while not (await answer(port, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 200"):
        await asyncio.sleep(0.05)


async def allowed(port: int, sent: bytes) -> bytes:
    """The body of the first answer that is an allow: before the ledger has been heard from, none is."""
    while b'"action":"allow"' not in (found := await answer(port, sent)):
        await asyncio.sleep(0.05)
    return found.partition(b"\r\n\r\n")[2]


async def answer(port: int, sent: bytes) -> bytes:
    """The answer to one request, with its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    body = await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()
    return head + body
