"""A provider's invoice against a whole stack: `check` finds the drift, `post` ends it, a second one does nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.local.service import ALL
from deploy.local.stack import Stack
from schemas.policy import parse_policy
from services.adapters.clickhouse import open_async_client
from services.adapters.clock import now_ms, steady_ms
from services.cli.api import Api, open_api
from services.cli.commands.policy import apply_policy
from services.cli.connection import connect
from services.core.events import from_ms
from services.core.money import parse_usd

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
WAIT_MS = 150_000
SERVICES = ("aggregator", "enforcer", "ingest", "sink")
POLICY = {"organization": "acme", "budgets": [{"name": "month", "limit_usd": "10", "window": "month"}]}
CHARGED = {"gpt-4o": 7, "gpt-4o-mini": 3}
"""Requests by model, each of 11 cents."""
CENTS = 11
INVOICED = {"gpt-4o-2024-08-06, input": "0.500000001", "gpt-4o-2024-08-06, output": "0.3", "o3, input": "0.25"}
"""Three cents and a nano-dollar more than we charged for one, nothing of another, and one of which we know nothing."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A stack, and the folder of its commands."""

    stack: Stack
    api: Api
    folder: Path

    async def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints on stdout."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
        data = {"SPENDGATE_DATA": str(self.stack.data_dir), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", *arguments, env={**inherited, **data},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await process.communicate()
        assert process.returncode == code, out.decode() + error.decode()
        return out.decode()

    async def check(self, invoice: Path, *, code: int) -> dict[tuple[str, str], dict[str, Any]]:
        """What `check` finds, by provider and model."""
        out = await self.run("invoice", "check", str(invoice), "--tolerance", "0%", "--least-usd", "0",
                             "--org", "acme", "-f", "json", code=code)  # fmt: skip
        return {(cell["provider"], cell["model"]): cell for cell in json.loads(out)["cells"]}

    async def in_clickhouse(self) -> tuple[int, int]:
        """The sum of all charges, and how many of them are corrections."""
        async with await open_async_client(self.stack.clickhouse) as client:
            found = await client.query("SELECT sum(cost_nanousd), countIf(kind = 'correction') FROM charges")
        ((cost, corrections),) = found.result_rows
        return int(cost or 0), int(corrections)

    async def in_balances(self) -> int | None:
        """What the organization has spent this month; None while nobody has heard of any."""
        status = await self.api.status("org:acme")
        found = [parse_usd(window.settled_usd) for window in status.windows if window.window.startswith("month:")]
        return found[0] if found else None


async def until(ask: Callable[[], Awaitable[object]], expected: object) -> None:
    """Ask until the pipeline has brought it there."""
    deadline = steady_ms() + WAIT_MS
    while (found := await ask()) != expected:
        assert steady_ms() < deadline, (found, expected)
        await asyncio.sleep(0.1)


def used(at_ms: int) -> bytes:
    """What was used, and what it cost by the gateway's word."""
    events = [
        {
            "specversion": "1.0",
            "id": f"{model}-{number}",
            "source": "gateway",
            "type": "spendgate.usage.recorded.v1",
            "time": from_ms(at_ms).isoformat(),
            "data": {
                "organization": "acme",
                "user": f"user-{number}",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": model,
                "gen_ai.usage.input_tokens": 100,
                "gen_ai.usage.output_tokens": 10,
                "cost_usd": f"0.{CENTS}",
            },
        }
        for model, times in CHARGED.items()
        for number in range(times)
    ]
    return b"\n".join(map(msgspec.json.encode, events))


def invoice_of(day: date, lines: Mapping[str, str]) -> str:
    """As OpenAI's dashboard writes it."""
    rows = [f'{day}T00:00:00+00:00,{amount},usd,"{item}"' for item, amount in lines.items()]
    return "\n".join(["start_time_iso,amount_value,amount_currency,line_item", *rows, ""])


async def test_an_invoice_is_compared_posted_and_posted_again(tmp_path: Path) -> None:
    at_ms = now_ms()
    invoice = tmp_path / "november.csv"
    invoice.write_text(invoice_of(from_ms(at_ms).date(), INVOICED), encoding="utf-8")
    charged = sum(CHARGED.values()) * CENTS * 10_000_000
    corrected = charged + 30_000_001
    services = [name for name in ALL if name in SERVICES]
    async with Stack(tmp_path / "data", services) as stack, open_api(connect(tmp_path / "data")) as api:
        shop = Shop(stack, api, tmp_path)
        await apply_policy(api, parse_policy(POLICY), by="ada", reason="", expected_version=0)
        await api.report(used(at_ms))
        await until(shop.in_clickhouse, (charged, 0))

        found = await shop.check(invoice, code=1)
        assert {key: cell["difference_usd"] for key, cell in found.items()} == {
            ("openai", "gpt-4o"): "0.030000001",
            ("openai", "gpt-4o-mini"): "-0.33",
            ("openai", "o3"): "0.25",
        }
        dry = await shop.run("invoice", "post", str(invoice), "--org", "acme", "--dry-run")
        assert "7 corrections would be posted" in dry
        assert await shop.in_clickhouse() == (charged, 0)

        told = await shop.run("invoice", "post", str(invoice), "--org", "acme", "--yes")
        for part in (
            "7 corrections posted",
            "belong to no charge of ours",
            "are not on the invoice",
            "stay as charged",
        ):
            assert part in told, told
        await until(shop.in_clickhouse, (corrected, 7))
        await until(shop.in_balances, corrected)
        after = await shop.check(invoice, code=1)
        assert {key: cell["difference_usd"] for key, cell in after.items()} == {
            ("openai", "gpt-4o"): "0.00",
            ("openai", "gpt-4o-mini"): "-0.33",
            ("openai", "o3"): "0.25",
        }

        assert "0 corrections posted" in await shop.run("invoice", "post", str(invoice), "--org", "acme", "--yes")
        position = (await api.report(used(at_ms)))["positions"][0]
        await api.status("org:acme", after=f"{position['partition']}:{position['offset']}", wait_ms=10_000)
        assert (await shop.in_clickhouse(), await shop.in_balances()) == ((corrected, 7), corrected)
