"""A real stack is scraped: every metric that a rule or a panel names is there, or its source shows when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.service import ALL
from deploy.local.stack import Stack
from services.adapters.keys import Role
from services.adapters.metrics import DEFINITIONS
from tests.deploy.promql import Asked
from tests.deploy.test_prometheus import EXPRESSIONS, family
from tests.integration.ingesting import usage
from tests.integration.sinking import eventually, rows_in

SERVICES = Path(__file__).parents[2] / "services"
BY_PROMETHEUS = {"up"}
ON_FIRST_USE: Mapping[str, str] = {
    "spendgate_forecaster_failures_total": "forecaster/health.py",
    "spendgate_steward_moves_total": "steward/health.py",
    "spendgate_steward_failures_total": "steward/health.py",
    "spendgate_steward_unreadable_total": "steward/health.py",
    "spendgate_forecaster_forecasts_total": "forecaster/health.py",
    "spendgate_forecaster_alerts_total": "forecaster/health.py",
    "spendgate_forecaster_anomalies_total": "forecaster/health.py",
    "spendgate_forecaster_scopes": "forecaster/health.py",
    "spendgate_forecaster_seconds": "forecaster/health.py",
    "spendgate_forecaster_unreadable_total": "forecaster/health.py",
    "spendgate_grpc_requests_total": "enforcer/gateway/envoy_grpc.py",
    "spendgate_sink_failed_inserts_total": "sink/health.py",
    "spendgate_sink_rejected_total": "sink/health.py",
}
"""Metrics whose labels are known only when something happens; and where that is."""


async def scraped(stack: Stack) -> set[str]:
    """Names of all metrics that the services export, as Prometheus reads them."""
    found: set[str] = set()
    async with aiohttp.ClientSession() as session:
        for name in stack.services:
            async with session.get(f"{stack.url(name)}/metrics") as response:
                for metric in text_string_to_metric_families(await response.text()):
                    found |= {metric.name, f"{metric.name}_total"} if metric.type == "counter" else {metric.name}
    return found


async def test_every_metric_that_is_asked_for_is_exported(
    tmp_path: Path, broker: str, clickhouse: str, prefix: str
) -> None:
    asked = {family(metric) for expr in EXPRESSIONS.values() for metric in Asked(expr).metrics}
    async with Stack(tmp_path, ALL, kafka=broker, clickhouse=clickhouse, topic_prefix=prefix) as stack:
        headers = {"Authorization": f"Bearer {stack.token(Role.EDGE)}"}
        async with aiohttp.ClientSession(headers=headers) as gateway:
            sent = await gateway.post(f"{stack.url('ingest')}/v1/events", json=[usage(n) for n in range(20)])
            assert sent.status == 202
        await rows_in(clickhouse, "charges", 20)

        async def missing() -> set[str]:
            return asked - await scraped(stack) - BY_PROMETHEUS - ON_FIRST_USE.keys()

        async def all_there() -> bool:
            return not await missing()

        async def describe() -> str:
            return f"nobody exports {await missing()}"

        await eventually(all_there, describe)


async def test_what_comes_on_first_use_has_a_source() -> None:
    for metric, path in ON_FIRST_USE.items():
        assert metric in DEFINITIONS
        assert f'"{metric}"' in await asyncio.to_thread((SERVICES / path).read_text, "utf-8")
