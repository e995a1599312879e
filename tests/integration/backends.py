"""Starts the real parts: the local stack's own by default, Docker images with `SPENDGATE_TEST_BACKEND=docker`."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from deploy.local.clickhouse.program import ClickHouse
from deploy.local.kafka.broker import Broker, settings_of_one_node
from deploy.local.kafka.jars import VERSION
from deploy.local.ports import free_port
from deploy.local.process import Process

DOCKER = os.environ.get("SPENDGATE_TEST_BACKEND") == "docker"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.9"
EAGER_CLEANER = {"log.cleaner.backoff.ms": "200", "log.initial.task.delay.ms": "1000"}


@asynccontextmanager
async def running_kafka(folder: Path) -> AsyncIterator[str]:
    """A broker whose log cleaner is in a hurry, so that tests can wait for compaction; yields the bootstrap address."""
    if DOCKER:
        async with _container(_kafka_container(port := free_port())):
            yield f"127.0.0.1:{port}"
        return
    broker = Broker(folder / "kafka", free_port(), folder / "kafka.log", properties=EAGER_CLEANER)
    process = Process(await asyncio.to_thread(broker.program))
    await process.start()
    try:
        yield broker.bootstrap
    finally:
        await process.stop()


@asynccontextmanager
async def running_clickhouse(folder: Path) -> AsyncIterator[ClickHouse]:
    """An engine with an empty data folder of its own."""
    clickhouse = ClickHouse(folder / "clickhouse", free_port(), folder / "clickhouse.log", secrets.token_urlsafe(16))
    if DOCKER:
        async with _container(_clickhouse_container(clickhouse)):
            yield clickhouse
        return
    process = Process(clickhouse.program())
    await process.start()
    try:
        yield clickhouse
    finally:
        await process.stop()


@asynccontextmanager
async def _container(container: DockerContainer) -> AsyncIterator[None]:
    await asyncio.to_thread(container.start)
    try:
        yield
    finally:
        await asyncio.to_thread(container.stop)


def _kafka_container(port: int) -> DockerContainer:
    """The official image reads every property from a variable: `node.id` from `KAFKA_NODE_ID`."""
    listeners = {
        "listeners": f"BROKER://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"BROKER://127.0.0.1:{port}",
        "controller.quorum.voters": "1@127.0.0.1:9093",
    }
    container = DockerContainer(f"apache/kafka:{VERSION}").with_bind_ports(port, port)
    for name, value in {**settings_of_one_node(), **listeners, **EAGER_CLEANER}.items():
        container = container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    return container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))


def _clickhouse_container(clickhouse: ClickHouse) -> DockerContainer:
    return (
        DockerContainer(CLICKHOUSE_IMAGE)
        .with_bind_ports(8123, clickhouse.port)
        .with_env("CLICKHOUSE_PASSWORD", clickhouse.password)
        .waiting_for(HttpWaitStrategy(8123, "/ping"))
    )
