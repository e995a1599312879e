"""Everything on one machine, started in order, watched, stopped in order: for `spendgate up`, the demo and tests."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO, Self

import msgspec

from deploy.local.cache import SetupError
from deploy.local.clickhouse.program import ClickHouse
from deploy.local.credentials import Credentials, write_secret
from deploy.local.kafka.broker import Broker
from deploy.local.keeper import Report, keep_alive
from deploy.local.ports import Ports
from deploy.local.process import Process, Program
from deploy.local.service import ALL, STOP_ORDER, kind_of, service_program, url_of
from services.adapters.keys import Role
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics

KAFKA, CLICKHOUSE = "kafka", "clickhouse"
DATABASE = "spendgate"
STACK_FILE = "stack.json"


class Stack:
    """A running stack, as an async context manager; all its files are in `data_dir`.

    `services` are names such as `ingest` or `aggregator-1`. `kafka` and `clickhouse` name a broker and a database that
    run already; by default the stack starts its own. `ports` asks for certain ports, `environment` adds settings for a
    service or an instance of one, `kafka_properties` for the broker. With `restart`, what dies is started again.
    Entering raises `SetupError` when the machine lacks something, `StartError` when a process does not come up.
    """

    def __init__(
        self,
        data_dir: Path,
        services: Sequence[str] = ALL,
        *,
        kafka: str | None = None,
        clickhouse: str | None = None,
        topic_prefix: str = "spendgate.",
        partitions: int | None = None,
        ports: Mapping[str, int] | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        kafka_properties: Mapping[str, str] | None = None,
        restart: bool = False,
        report: Report = lambda _line: None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.services = tuple(services)
        self.topic_prefix = topic_prefix
        self.kafka = kafka or ""
        self.clickhouse = clickhouse or ""
        self._own_kafka, self._own_clickhouse = kafka is None, clickhouse is None
        self._partitions = partitions
        self._wanted_ports = ports or {}
        self._environment = environment or {}
        self._kafka_properties = kafka_properties or {}
        self._restart = restart
        self._report = report
        self._processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._service_ports: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        for name in self.services:
            kind_of(name)  # a typo is told before anything starts
        self.data_dir.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as undo:
            undo.enter_context(_only_one(self.data_dir))
            undo.push_async_callback(self._stop_all)
            self.credentials = Credentials.ensure(self.data_dir / "keys")
            self._ports = Ports(self.data_dir / "ports.json", self._wanted_ports)
            await self._start_stores()
            await ensure_topics(self.settings, partitions=self._partitions)
            await self._start_services()
            self._write_stack_file()
            undo.callback((self.data_dir / STACK_FILE).unlink, missing_ok=True)
            self._undo = undo.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo.aclose()

    @property
    def settings(self) -> Settings:
        """What any part of Spendgate needs in order to reach this stack's Kafka and ClickHouse."""
        return Settings(
            kafka=self.kafka,
            topic_prefix=self.topic_prefix,
            clickhouse=self.clickhouse,
            keys_file=self.credentials.keys_file,
            data_dir=self.data_dir,
        )

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.data_dir / "logs"

    def url(self, name: str) -> str:
        """Where a service listens; the same after a restart."""
        return url_of(self._service_ports[name])

    def token(self, role: Role) -> str:
        """The stack's own API key of a role, for every organization."""
        return self.credentials.token(role)

    def process(self, name: str) -> Process:
        """A process by name: `kafka`, `clickhouse` or a service. Raises `KeyError`."""
        return self._processes[name]

    async def start(self, name: str) -> None:
        """Start one process again, after `stop` or `kill`. Raises `StartError`."""
        await self._processes[name].start()
        self._keep(name)

    async def stop(self, name: str) -> None:
        """Stop one process in good order; it stays stopped."""
        await self._let_go(name)
        await self._processes[name].stop()

    async def kill(self, name: str) -> None:
        """`kill -9`; it stays dead until `start`, unless the stack restarts what dies."""
        await self._processes[name].kill()

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._processes[name].pause()

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._processes[name].resume()

    async def _start_stores(self) -> None:
        wanted = ((self._own_kafka, self._start_kafka), (self._own_clickhouse, self._start_clickhouse))
        await _all_of([start() for own, start in wanted if own])

    async def _start_kafka(self) -> None:
        broker = Broker(
            folder=self.data_dir / KAFKA,
            port=self._ports.of(KAFKA),
            controller_port=self._ports.of("kafka-controller"),
            log=self.logs / "kafka.log",
            properties=self._kafka_properties,
        )
        self.kafka = broker.bootstrap
        await self._launch(await asyncio.to_thread(broker.program), f"at {broker.bootstrap}")

    async def _start_clickhouse(self) -> None:
        clickhouse = ClickHouse(
            folder=self.data_dir / CLICKHOUSE,
            port=self._ports.of(CLICKHOUSE),
            log=self.logs / "clickhouse.log",
            password=self.credentials.clickhouse_password,
        )
        self.clickhouse = clickhouse.address(DATABASE)
        await self._launch(clickhouse.program(), f"at {url_of(clickhouse.port)}")

    async def _start_services(self) -> None:
        self._service_ports = {name: self._ports.of(name) for name in self.services}
        await _all_of([self._launch(self._service(name), f"at {self.url(name)}") for name in self.services])

    def _service(self, name: str) -> Program:
        folder, log = self.data_dir / name, self.logs / f"{name}.log"
        return service_program(name, self._service_ports[name], folder, log, self._environment_of(name))

    async def _launch(self, program: Program, where: str) -> None:
        process = self._processes[program.name] = Process(program)
        await process.start()
        self._keep(program.name)
        self._report(f"{program.name} runs {where}")

    def _keep(self, name: str) -> None:
        if self._restart:
            self._keepers[name] = asyncio.create_task(keep_alive(self._processes[name], self._report))

    async def _let_go(self, *names: str) -> None:
        keepers = [self._keepers.pop(name) for name in names if name in self._keepers]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)

    async def _stop_all(self) -> None:
        await self._let_go(*self._keepers)
        kinds = {name: kind_of(name) for name in self._service_ports}
        groups = [[name for name, kind in kinds.items() if kind in group] for group in STOP_ORDER]
        for group in (*groups, (CLICKHOUSE, KAFKA)):
            running = [self._processes[name] for name in group if name in self._processes]
            await asyncio.gather(*[process.stop() for process in running])

    def _environment_of(self, name: str) -> dict[str, str]:
        shared = {
            "SPENDGATE_KAFKA": self.kafka,
            "SPENDGATE_TOPIC_PREFIX": self.topic_prefix,
            "SPENDGATE_CLICKHOUSE": self.clickhouse,
            "SPENDGATE_KEYS_FILE": str(self.credentials.keys_file),
        }
        links = self._links(name) if kind_of(name) == "notifier" else {}
        return {**shared, **links, **self._environment.get(kind_of(name), {}), **self._environment.get(name, {})}

    def _links(self, name: str) -> dict[str, str]:
        """Where messages to people lead: to the console, and to the notifier itself."""
        told = {"SPENDGATE_NOTIFIER_URL": self.url(name)}
        console = next((other for other in self.services if kind_of(other) == "console"), None)
        return told if console is None else {**told, "SPENDGATE_CONSOLE_URL": self.url(console)}

    def _write_stack_file(self) -> None:
        """Tell other programs where everything is. It holds ClickHouse's password, so it is the owner's alone."""
        urls = {name: self.url(name) for name in self.services}
        first = {kind: next(url for name, url in urls.items() if kind_of(name) == kind) for kind in map(kind_of, urls)}
        told = {
            "pid": os.getpid(),
            "kafka": self.kafka,
            "topic_prefix": self.topic_prefix,
            "clickhouse": self.clickhouse,
            **first,
            "services": urls,
            "keys": {role.value: str(self.credentials.token_file(role)) for role in Role},
            "logs": str(self.logs),
        }
        write_secret(self.data_dir / STACK_FILE, msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")


async def _all_of(work: Sequence[Coroutine[None, None, None]]) -> None:
    """Do these at once; when one fails, give up the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def _only_one(data_dir: Path) -> IO[str]:
    """Hold the data folder, so that no second stack uses it; closing lets it go. Raises `SetupError`."""
    lock = (data_dir / "stack.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SetupError(f"a stack runs already on {data_dir}: stop it, or choose another --data folder") from None
    return lock
