"""A real stack is scraped: every metric that a rule or a panel names is there, or its source shows when it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.service import ALL
from deploy.local.stack import Stack
from services.adapters.metrics import DEFINITIONS
from tests.deploy.promql import Asked
from tests.deploy.test_prometheus import EXPRESSIONS, family

SERVICES = Path(__file__).parents[2] / "services"
BY_PROMETHEUS = {"up"}
ON_FIRST_USE: Mapping[str, str] = {
    "spendgate_grpc_requests_total": "enforcer/gateway/envoy_grpc.py",
    "spendgate_sink_rows_total": "sink/health.py",
    "spendgate_sink_insert_seconds": "sink/health.py",
    "spendgate_sink_failed_inserts_total": "sink/health.py",
    "spendgate_sink_rejected_total": "sink/health.py",
    "spendgate_aggregator_position": "aggregator/meter.py",
}
"""Metrics whose labels are known only when something happens, and where that is."""


async def scraped(stack: Stack) -> set[str]:
    """Names of all metrics that the services export, as Prometheus reads them."""
    found: set[str] = set()
    async with aiohttp.ClientSession() as session:
        for name in stack.services:
            async with session.get(f"{stack.url(name)}/metrics") as response:
                assert response.status == 200
                for metric in text_string_to_metric_families(await response.text()):
                    found |= {metric.name, f"{metric.name}_total"} if metric.type == "counter" else {metric.name}
    return found


async def test_every_metric_that_is_asked_for_is_exported(
    tmp_path: Path, broker: str, clickhouse: str, prefix: str
) -> None:
    asked = {family(metric) for expr in EXPRESSIONS.values() for metric in Asked(expr).metrics}
    async with Stack(tmp_path, ALL, kafka=broker, clickhouse=clickhouse, topic_prefix=prefix) as stack:
        found = await scraped(stack)
    assert asked - found - BY_PROMETHEUS <= ON_FIRST_USE.keys()


async def test_what_comes_on_first_use_has_a_source() -> None:
    for metric, path in ON_FIRST_USE.items():
        assert metric in DEFINITIONS
        assert f'"{metric}"' in await asyncio.to_thread((SERVICES / path).read_text, "utf-8")
