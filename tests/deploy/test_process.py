"""A process is started, watched, frozen, stopped and killed; it never outlives whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.local.keeper import keep_alive
from deploy.local.process import Process, StartError
from tests.deploy.programs import BROKEN, SERVES, SLOW, STUBBORN, python_program

PARENT = """
import asyncio, pathlib
from deploy.local.process import Process
from tests.deploy.programs import SERVES, python_program
async def main():
    process = Process(python_program(pathlib.Path({folder!r}), SERVES))
    await process.start()
    print(process.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def state(pid: int) -> str:
    """The kernel's letter for a process: R, S, T (stopped), Z; X once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "X"


async def test_it_starts_once_ready_and_stops_when_asked(tmp_path: Path) -> None:
    process = Process(python_program(tmp_path, SERVES))
    await process.start()
    assert process.running
    assert await process.stop() == -signal.SIGTERM
    assert not process.running


async def test_who_does_not_stop_is_killed(tmp_path: Path) -> None:
    process = Process(python_program(tmp_path, STUBBORN, stop_within_s=0.3))
    await process.start()
    assert await process.stop() == -signal.SIGKILL


async def test_a_failed_start_tells_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="exited with 7") as caught:
        await Process(python_program(tmp_path, BROKEN)).start()
    assert "the disk is on fire" in str(caught.value)


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    process = Process(python_program(tmp_path, SLOW, ready_within_s=0.3))
    with pytest.raises(StartError, match=r"not ready after 0\.3 s"):
        await process.start()
    assert not process.running


async def test_it_can_be_frozen_and_a_frozen_one_can_be_stopped(tmp_path: Path) -> None:
    process = Process(python_program(tmp_path, SERVES))
    await process.start()
    process.pause()
    await until(lambda: state(process.pid) == "T")
    process.resume()
    await until(lambda: state(process.pid) == "S")
    process.pause()
    assert await process.stop() == -signal.SIGTERM


async def test_children_die_with_whoever_started_them(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT.format(folder=str(tmp_path)), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert state(child) != "X"
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    await until(lambda: state(child) in "XZ")


async def test_what_dies_is_started_again_and_its_return_is_reported(tmp_path: Path) -> None:
    process, lines = Process(python_program(tmp_path, SERVES)), list[str]()
    await process.start()
    keeper = asyncio.create_task(keep_alive(process, lines.append))
    first = process.pid
    await process.kill()
    await until(lambda: len(lines) == 2)
    keeper.cancel()
    assert process.running
    assert process.pid != first
    assert "ended with -9; starting it again in 0.5 s" in lines[0]
    assert lines[1] == f"program is back (pid {process.pid})"
    await process.stop()
