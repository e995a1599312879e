"""Budgets in many time zones, load that goes on through every failure, and the order in which things are killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from deploy.local.stack import Stack
from schemas.policy import parse_policy
from services.adapters.clock import now_ms
from services.cli.api import Api
from services.cli.cast import REPORTS_AFTERWARDS, Request, assign
from services.cli.commands.policy import apply_policy
from services.cli.freshness import Freshness
from services.cli.gateway import Gateway, Manners
from services.cli.pace import Pace
from services.cli.reconcile import cost_nanousd
from services.cli.tally import Tally
from services.cli.trace import read_trace
from services.core.events import from_ms

TRACE = Path(__file__).parents[2] / "examples" / "traces" / "azure-2023-conv.csv.gz"
ORGANIZATIONS = tuple(f"company-{number}" for number in range(8))
"""Enough to keep every partition of the ledger busy."""
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", None)
"""Where the organizations keep their calendars, in their order; None says nothing. The last one has no policy."""
LIMITED = dict(zip(ORGANIZATIONS, ZONES, strict=False))
BUDGETS = (
    {"name": "assistant-day", "scope": {"project": "assistant"}, "limit_usd": "1.50", "window": "day"},
    {"name": "each-user-hour", "scope": {"user": "*"}, "limit_usd": "0.30", "window": "hour"},
    {"name": "research-month", "scope": {"project": "research"}, "limit_usd": "0.10", "window": "month"},
)
"""Tight enough to deny many requests; `research` asks nobody, so that its budget is only overdrawn."""


async def limit(api: Api) -> None:
    """Put the policies in force."""
    for organization, zone in LIMITED.items():
        where = {} if zone is None else {"timezone": zone}
        policy = parse_policy({"organization": organization, "budgets": BUDGETS, **where})
        await apply_policy(api, policy, by="chaos", reason="", expected_version=0)


@dataclass(slots=True)
class Load:
    """One gateway for each organization, all insisting on an answer; `admitted` must be in every sum in the end."""

    api: Api
    requests_each: int
    within_s: float
    tallies: dict[str, Tally] = field(default_factory=dict)

    async def run(self) -> None:
        """Play until the fate of every request is known."""
        async with asyncio.TaskGroup() as gateways:
            for organization in ORGANIZATIONS:
                gateways.create_task(self._play(organization))

    def expected_nanousd(self, organization: str) -> int:
        """What the organization's admitted requests cost, by genai-prices alone."""
        at = from_ms(now_ms())
        return sum(cost_nanousd(request, at) for request in self.tallies[organization].admitted)

    async def _play(self, organization: str) -> None:
        requests = self._requests(organization)
        tally = self.tallies[organization] = Tally(len(requests))
        pace = Pace.within([request.row for request in requests], self.within_s)
        # Every second batch is sent twice on purpose, beside whatever is sent again because of a failure.
        manners = Manners(f"chaos-{organization}", REPORTS_AFTERWARDS, in_flight=64, resend_every=2, give_up_s=180.0)
        await Gateway(self.api, tally, pace, manners, Freshness(self.api, tally)).play(requests)

    def _requests(self, organization: str) -> Sequence[Request]:
        rows = read_trace(TRACE)
        start = ORGANIZATIONS.index(organization) * self.requests_each
        drawn = assign(rows[start : start + self.requests_each], seed=start, organization=organization)
        return [replace(request, organization=organization) for request in drawn]


async def kill_in_turn(stack: Stack, names: Sequence[str], *, rounds: int, seed: int) -> list[str]:
    """`kill -9` every one of `names` once a round, in random order, each started again soon. What was killed, in order.

    One may still be recovering when the next one dies, and the stack's own keeper may win the race to start it again.
    """
    random = Random(seed)
    killed = []
    for _ in range(rounds):
        for name in random.sample(names, len(names)):
            await stack.kill(name)
            killed.append(name)
            await asyncio.sleep(random.uniform(0.2, 0.8))
            await stack.start(name)
            await asyncio.sleep(random.uniform(0.3, 1.5))
    return killed
