"""One operating-system process of the stack: started with its log, watched, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[], Awaitable[bool]]
LEASH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))
PROBE_INTERVAL_S = 0.05
LOG_TAIL_BYTES = 3000


class StartError(Exception):
    """A process exited, or was not ready in time; the message carries the end of its log."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. `ready` answers whether it serves; `env` is laid over the environment of this process."""

    name: str
    command: tuple[str, ...]
    log: Path
    ready: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 60.0
    stop_within_s: float = 15.0


class Process:
    """A program that can be started, asked to stop, killed, frozen and thawed, and started again."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id. Raises `RuntimeError` when it was never started."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the process exists (it may be frozen)."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises `StartError`."""
        if self.running:
            raise RuntimeError(f"{self.program.name} runs already")
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *LEASH,
                str(os.getpid()),
                *self.program.command,
                env={**os.environ, **self.program.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops its children in order
            )
        try:
            await self._until_ready()
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> int:
        """Ask it to stop (SIGTERM), insist (SIGKILL) when it takes too long; its exit code."""
        if not self.running:
            return await self.wait()
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.wait(), self.program.stop_within_s)
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """`kill -9` the process and its children; its exit code."""
        self._signal(signal.SIGKILL)
        return await self.wait()

    def pause(self) -> None:
        """SIGSTOP: it exists, but does nothing, as on a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on as if nothing had happened."""
        self._signal(signal.SIGCONT)

    async def wait(self) -> int:
        """Its exit code, once it has exited."""
        return await self._started().wait()

    async def _until_ready(self) -> None:
        program = self.program
        try:
            async with asyncio.timeout(program.ready_within_s):
                while not await program.ready():
                    if not self.running:
                        raise StartError(
                            f"{program.name} exited with {self._started().returncode}.\n{self._log_tail()}"
                        )
                    await asyncio.sleep(PROBE_INTERVAL_S)
        except TimeoutError as error:
            message = f"{program.name} is not ready after {program.ready_within_s:g} s.\n{self._log_tail()}"
            raise StartError(message) from error

    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise RuntimeError(f"{self.program.name} was never started")
        return self._child

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            os.killpg(self.pid, number)

    def _log_tail(self) -> str:
        text = self.program.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"The end of {self.program.log}:\n{text}"
