"""Hard budgets at four levels are run down to zero through kills and pauses: by shares to the last cent and no further.

Beside it, what check-then-record makes of the same load.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import product
from random import Random

import aiohttp
import msgspec
import pytest

from deploy.local.stack import Stack
from services.adapters.keys import Role
from services.adapters.settings import Settings
from services.aggregator.settings import AggregatorSettings
from services.client import AsyncClient
from services.core.decision import BudgetLine
from services.core.money import format_usd, parse_usd
from services.core.scope import Level
from tests.e2e.demand import MODEL, Company, Spender, usd
from tests.e2e.gates import EscrowGate, Gate, NaiveGate, RpcGate, Services
from tests.e2e.hammer import Tally, hammers
from tests.e2e.havoc import Havoc
from tests.e2e.watch import Watch
from tests.integration.aggregating import committed_charges, ledger_ends

ENFORCERS = ("enforcer-0", "enforcer-1", "enforcer-2")
VICTIMS = (*ENFORCERS, "aggregator")
GATEWAYS = 64
TERMS = {
    "SPENDGATE_HEARTBEAT_S": "0.5",
    "SPENDGATE_LEASE_TTL_S": "6",
    "SPENDGATE_RESERVATION_TTL_S": "14",
    "SPENDGATE_RECLAIM_AFTER_S": "20",
    "SPENDGATE_CLAIM_TIMEOUT_MS": "1000",
}
"""Short enough that the shares of the dead come back within the test, and long enough that what was reserved from them
is settled before: later it may be spent twice, which is an exception of the bound, and would be a failure here."""
NOWHERE = "http://default:@127.0.0.1:1/none"
DRY_MS = 3_000
GUARDED = Company("guarded", usd(100))
NAIVE = Company("naive", usd(20))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of guarding a budget came to."""

    company: Company
    tally: Tally
    havoc: Havoc
    spent: dict[Level, int]

    def rows(self) -> list[str]:
        """A line for each level, and one for the load."""
        lines = [
            f"  {level:<13}{format_usd(limit):>10}{format_usd(spent):>16}{spent / limit:>10.2%}"
            for level, limit in self.company.limits.items()
            for spent in [self.spent[level]]
        ]
        tally, kills = self.tally, sum(self.havoc.kills.values())
        pauses = ", ".join(f"{seconds:.1f} s" for seconds in self.havoc.pauses_s)
        refused = ", ".join(f"{count} {why.name.lower()}" for why, count in tally.refused.items())
        times = f"p50 {tally.percentile_ms(50):.1f} ms, p99 {tally.percentile_ms(99):.0f} ms"
        return [
            *lines,
            f"  {kills} kills, Kafka paused for {pauses}",
            f"  {tally.checks} checks ({times}), {tally.calls} allowed; refused: {refused}",
        ]


@pytest.mark.timeout(600)
async def test_shares_spend_a_budget_to_its_end_and_no_further_while_check_then_record_overspends(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("spent")
    names = ("ingest", "aggregator", *ENFORCERS)
    async with Stack(folder, names, clickhouse=NOWHERE, environment={"enforcer": TERMS}, restart=True) as stack:
        async with services_of(stack) as services, watching(stack.settings, GUARDED) as watch:
            for company in (GUARDED, NAIVE):
                await put_in_force(stack, services, company)
            async with gates_of(stack, services) as gates:
                guarded = await run(services, gates, GUARDED, watch, Havoc(stack, Random(4)), rounds=3, pauses=2)
                binding = await binding_budgets(services, GUARDED)
            reclaimed = format_usd(watch.reclaimed_nanousd[GUARDED.hot[Level.ORGANIZATION]])
            watched = f"  {reclaimed} reclaimed of the organization's, {watch.samples} balances looked at meanwhile"
            naive_gates = [NaiveGate(services, "naive")]
            naive = await run(services, naive_gates, NAIVE, watch, Havoc(stack, Random(4)), rounds=1, pauses=1)
            charged = await charged_nanousd(stack.settings)
        with capsys.disabled():
            title = f"  {'level':<13}{'limit USD':>10}{'spent USD':>16}{'used':>10}"
            report = ["", "shares:", title, *guarded.rows(), watched, "check-then-record:", title, *naive.rows(), ""]
            sys.stdout.write("\n".join(report))

    assert binding
    assert [line for line in binding if parse_usd(line.settled_usd) < parse_usd(line.limit_usd) * 99 // 100] == []
    assert guarded.spent[Level.ORGANIZATION] >= GUARDED.limit_nanousd * 99 // 100
    for level, limit in GUARDED.limits.items():
        assert guarded.spent[level] <= limit, level
        assert charged[GUARDED.hot[level]] == guarded.spent[level]
    assert guarded.tally.spent_nanousd == guarded.spent[Level.ORGANIZATION]
    assert naive.tally.spent_nanousd == naive.spent[Level.ORGANIZATION]
    assert any(naive.spent[level] > limit for level, limit in NAIVE.limits.items())


async def run(
    services: Services, gates: Sequence[Gate], company: Company, watch: Watch, havoc: Havoc, *, rounds: int, pauses: int
) -> Outcome:
    """Hammer a company's budgets through these gates, amid havoc, until nobody gets anything any more."""
    stopped = asyncio.Event()
    gateways = hammers(gates, company, GATEWAYS, len(ENFORCERS), stopped)
    tally = gateways[0].tally
    async with asyncio.TaskGroup() as playing:
        for gateway in gateways:
            playing.create_task(gateway.run())
        await havoc.play(VICTIMS, rounds=rounds, pauses=pauses)
        while watch.holders() - await identities(services) or not tally.is_dry(DRY_MS):
            await asyncio.sleep(0.2)
        stopped.set()
    settings = havoc.stack.settings
    await watch.reached(await ledger_ends(AggregatorSettings(kafka=settings.kafka, topic_prefix=settings.topic_prefix)))
    spent = {level: watch.settled_nanousd(scope) for level, scope in company.hot.items()}
    return Outcome(company, tally, havoc, spent)


@asynccontextmanager
async def services_of(stack: Stack) -> AsyncIterator[Services]:
    """The stack's services, asked with a gateway's key over connections that are kept."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        headers={"Authorization": f"Bearer {stack.token(Role.EDGE)}", "Content-Type": "application/json"},
        timeout=aiohttp.ClientTimeout(total=15),
    ) as session:
        yield Services(session, [stack.url(name) for name in ENFORCERS], stack.url("ingest"))


@asynccontextmanager
async def watching(settings: Settings, guarded: Company) -> AsyncIterator[Watch]:
    """A watch that ends the test as soon as a limit is broken."""
    watch = Watch(settings, guarded)
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(watch.run())
        yield watch
        looking.cancel()


@asynccontextmanager
async def gates_of(stack: Stack, services: Services) -> AsyncIterator[Sequence[Gate]]:
    """Three in four gateways use HTTP, the others the RPC client."""
    async with AsyncExitStack() as clients:
        opened = [
            await clients.enter_async_context(
                AsyncClient(
                    f"unix://{stack.data_dir / name / 'rpc.sock'}", stack.token(Role.EDGE), on_unavailable="closed"
                )
            )
            for name in ENFORCERS
        ]
        over_http = EscrowGate(services)
        yield over_http, over_http, over_http, RpcGate(services, opened)


async def put_in_force(stack: Stack, services: Services, company: Company) -> None:
    """Apply the company's policy, and wait until every enforcer knows it."""
    change = {"policy": company.policy(), "by": "test", "reason": "everything has an end"}
    admin = {"Authorization": f"Bearer {stack.token(Role.ADMIN)}"}
    async with services.session.post(f"{services.ingest}/v1/policies", json=change, headers=admin) as response:
        assert response.status == 200, await response.text()
    for number in range(len(ENFORCERS)):
        scope = company.hot[Level.ORGANIZATION]
        while (status := await services.status(number, scope)) is None or not status.policy_version:
            await asyncio.sleep(0.05)


async def binding_budgets(services: Services, company: Company) -> list[BudgetLine]:
    """Asks for the smallest request for every spender at every enforcer: the budgets that deny it."""
    found = []
    for url, spender in product(services.enforcers, company.spenders):
        ask = {**spender.dimensions, "model": MODEL, "input_tokens": 1, "max_output_tokens": 1, "dry_run": True}
        while (answer := await services.post(f"{url}/v1/check", ask))[1]["reason"] == "state_unknown":
            await asyncio.sleep(0.1)
        lines = msgspec.convert(answer[1]["budgets"], list[BudgetLine])
        found += [line for line in lines if line.binding and answer[1]["action"] == "deny"]
    return found


async def identities(services: Services) -> set[str]:
    """Who the enforcers are in this life."""
    found = set()
    for url in services.enforcers:
        async with services.session.get(f"{url}/v1/position") as response:
            found.add((await response.json())["enforcer"])
    return found


async def charged_nanousd(settings: Settings) -> Counter[str]:
    """The sum of all charges by scope, whatever the balances say."""
    sums: Counter[str] = Counter()
    charges = await committed_charges(AggregatorSettings(kafka=settings.kafka, topic_prefix=settings.topic_prefix))
    for charge in [charge for posted in charges.values() for charge in posted]:
        spender = Spender(charge.organization, charge.project or "", charge.team or "", charge.user or "")
        for scope in spender.scopes:
            sums[scope] += charge.cost_nanousd or 0
    return sums
