"""The whole stack comes up, tells where it is, outlives the death of each part, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from deploy.local.cache import SetupError
from deploy.local.health import answers
from deploy.local.ports import is_free
from deploy.local.stack import STACK_FILE, Stack
from services.adapters.keys import Role

SERVICES = ("ingest", "enforcer", "aggregator-0", "aggregator-1", "sink")


async def test_everything_starts_answers_returns_and_stops(tmp_path: Path) -> None:
    async with Stack(tmp_path, SERVICES) as stack:
        told = json.loads((tmp_path / STACK_FILE).read_text())
        assert told["aggregator"] == told["services"]["aggregator-0"] == stack.url("aggregator-0")
        assert Path(told["keys"]["admin"]).read_text() == stack.token(Role.ADMIN)
        assert {path.stem for path in stack.logs.iterdir()} == {"kafka", "clickhouse", *SERVICES}
        assert (tmp_path / "enforcer" / "rpc.sock").is_socket()
        for name in SERVICES:
            await stack.kill(name)
            assert not await answers(f"{stack.url(name)}/readyz")
            await stack.start(name)
            while not await answers(f"{stack.url(name)}/readyz"):  # a rebalance may follow a return
                await asyncio.sleep(0.05)
        with pytest.raises(SetupError, match="a stack runs already"):
            async with Stack(tmp_path, ()):
                raise AssertionError("two stacks on one folder")
        ports = [int(stack.kafka.rpartition(":")[2]), *[int(stack.url(name).rpartition(":")[2]) for name in SERVICES]]
    assert not (tmp_path / STACK_FILE).exists()
    assert all(is_free(port) for port in ports)


async def test_services_can_share_a_broker_and_an_engine(
    tmp_path: Path, broker: str, clickhouse: str, prefix: str
) -> None:
    async with Stack(tmp_path, ["ingest"], kafka=broker, clickhouse=clickhouse, topic_prefix=prefix) as stack:
        headers = {"Authorization": f"Bearer {stack.token(Role.EDGE)}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{stack.url('ingest')}/v1/events", json=[]) as response,
        ):
            assert response.status not in (401, 403, 404)
