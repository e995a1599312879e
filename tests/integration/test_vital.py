"""A service is never half alive: when a task breaks without which it is of no use, its process ends with an error."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from deploy.local.process import Process, Program
from services.adapters.keys import Keyring
from services.adapters.metrics import Metrics
from services.adapters.openapi import document
from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics
from services.adapters.vital import FAILED, VitalTaskFailed, VitalTasks, failure_of
from services.adapters.web import Readiness, create_app, serve
from tests.integration.enforcing import make_keys, slow_aggregator
from tests.integration.ingesting import until


async def broken() -> None:
    raise ZeroDivisionError


async def cancelled_from_within() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def test_what_breaks_a_task_is_its_error_or_a_cancellation_that_nobody_asked_for() -> None:
    tasks = [asyncio.create_task(work) for work in (broken(), cancelled_from_within(), asyncio.sleep(0))]
    asked = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([*tasks, asked])
    found = [type(failure_of(task)) for task in (*tasks, asked)]
    assert found == [ZeroDivisionError, asyncio.CancelledError, type(None), type(None)]


@pytest.mark.parametrize("work", [broken, cancelled_from_within])
async def test_a_process_ends_with_its_vital_task(work: type, tmp_path: Path) -> None:
    vital = VitalTasks()
    app = create_app(
        "test",
        keyring=Keyring.of([]),
        readiness=lambda: Readiness(True),
        openapi=document(title="test", description="", paths={}),
        metrics=Metrics(process=False),
        max_body_bytes=1000,
        vital=vital,
    )
    settings = Settings(port_file=tmp_path / "port", drain_s=1)
    serving = asyncio.create_task(serve(app, settings))
    await until((tmp_path / "port").exists)
    url = f"http://127.0.0.1:{(tmp_path / 'port').read_text()}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    vital.start("breaks", work())
    with pytest.raises(VitalTaskFailed, match="breaks"):
        await serving


async def test_an_enforcer_that_cannot_read_a_balance_ends_and_is_not_half_alive(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    port_file = tmp_path / "enforcer.port"
    env = {
        "SPENDGATE_KAFKA": broker,
        "SPENDGATE_TOPIC_PREFIX": prefix,
        "SPENDGATE_KEYS_FILE": str(make_keys(tmp_path).path),
        "SPENDGATE_DATA_DIR": str(tmp_path / "data"),
        "SPENDGATE_PORT_FILE": str(port_file),
    }

    async def ready() -> bool:
        if not port_file.exists():
            return False
        url = f"http://127.0.0.1:{port_file.read_text()}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 200

    command = (sys.executable, "-m", "services.enforcer")
    process = Process(Program("enforcer", command, tmp_path / "enforcer.log", ready, env))
    await process.start()
    async with slow_aggregator(settings) as aggregator:
        await aggregator.write("balances", 0, {"balances": [(b"org:acme@total", b"{"), (b"#position", b"{}")]})
    assert await asyncio.wait_for(process.wait(), 60) == FAILED
