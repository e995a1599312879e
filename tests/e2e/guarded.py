"""An enforcer with a policy, models, and a place for a gateway between clients and them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.local.ports import free_port
from services.adapters.clock import now_ms
from services.core.events import from_ms, to_ms
from services.enforcer.settings import EnforcerSettings
from tests.e2e.models import Models, running_models
from tests.integration.enforcing import (
    Client,
    Keys,
    SlowAggregator,
    make_keys,
    position_of,
    running_enforcer,
    slow_aggregator,
)

DAY = {"name": "company-day", "limit_usd": "0.05", "window": "day"}
SPENT = {"name": "bob-day", "scope": {"user": "bob"}, "limit_usd": "0.001", "window": "day"}


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a gateway stands between."""

    folder: Path
    settings: EnforcerSettings
    keys: Keys
    enforcer: Client
    aggregator: SlowAggregator
    models: Models


@asynccontextmanager
async def guarded(broker: str, prefix: str, folder: Path) -> AsyncIterator[Guarded]:
    """Serve an enforcer and models; Bob's budget has no room for any request."""
    keys = make_keys(folder)
    settings = EnforcerSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=keys.path,
        data_dir=folder / "enforcer",
        port=free_port(),
        grpc_port=free_port(),
        claim_timeout_ms=2_000,  # a busy machine may take longer than a good one
    )
    async with slow_aggregator(settings) as aggregator, running_models() as models:
        policy = await aggregator.policy("acme", DAY, SPENT)
        async with running_enforcer(settings, keys.edge) as enforcer:
            await enforcer.day(after=policy)
            yield Guarded(folder, settings, keys, enforcer, aggregator, models)


async def denials(behind: Guarded) -> int:
    """How many requests the enforcer has denied because a budget is spent."""
    async with behind.enforcer.session.get(f"{behind.enforcer.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    (line,) = [one for one in lines if one.startswith('spendgate_denials_total{reason="budget_exceeded"}')]
    return int(float(line.split()[-1]))


async def pace_dave(behind: Guarded, request_usd: str) -> None:
    """Give Dave a budget that earns one such request in 31.5 s, so that two run ahead of a minute's burst by 3 s.

    It is a year's, so that neither the time left nor the room changes while a test runs. He has spent some of it, which
    puts him into its throttle tier.
    """
    year_end_ms = to_ms(datetime(from_ms(now_ms()).year + 1, 1, 1, tzinfo=UTC))
    limit_usd = float(request_usd) * (year_end_ms - now_ms()) / 31_500
    tiers = {"soft": "0.0001", "throttle": "0.0001", "hard": "1"}
    scope = {"scope": {"user": "dave"}, "window": "year"}
    paced = {"name": "dave-year", "limit_usd": f"{limit_usd:.6f}", "tiers": tiers, **scope}
    policy = await behind.aggregator.policy("acme", paced)
    await behind.enforcer.day(after=policy)
    spent = await behind.enforcer.settle(await behind.enforcer.reserve(user="dave"), output_tokens=100_000)
    await behind.aggregator.advance()
    await behind.enforcer.day(after=position_of(spent))


async def hold_answers(behind: Guarded) -> None:
    """From now on the aggregator answers no claim: no budget that was not met before can be spent."""
    await behind.aggregator.append("acme", "spendgate.usage.recorded.v1", "waits-for-ever", {})


@asynccontextmanager
async def hanging() -> AsyncIterator[int]:
    """Something that takes connections and never answers; gives its port."""
    server = await asyncio.start_server(_never, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def _never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65_536):
        pass
    writer.close()
