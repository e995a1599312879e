"""A stack with a history: what `status`, `policy show` and `check` say of then is what was said then."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from deploy.local.service import ALL
from deploy.local.stack import Stack
from schemas.policy import parse_policy
from services.adapters.clock import now_ms, steady_ms
from services.adapters.keys import Role
from services.cli.api import Api, open_api
from services.cli.commands.policy import apply_policy
from services.cli.connection import Connection, connect
from services.cli.past_views import PastStatus
from services.core.events import from_ms
from services.enforcer.answers import Status

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
SCOPE = "org:acme/project:search"
ASK = {"organization": "acme", "project": "search", "user": "alice", "model": "gpt-4o", "input_tokens": 0}
FITS_AFTER_THE_BOOST = 600_000
"""Tokens of output, six dollars: more than half the limit of the first policy, and than is left of the second."""
WAIT_MS = 150_000


def policy(limit_usd: str, *schedule: dict[str, str]) -> dict[str, Any]:
    """A policy of acme with one budget that has no window, so that no midnight comes between."""
    scope, rules = {"project": "search"}, [*schedule]
    budget = {"name": "search", "scope": scope, "limit_usd": limit_usd, "window": "total", "schedule": rules}
    return {"organization": "acme", "timezone": "UTC", "budgets": [budget]}


def halved_for_a_while() -> dict[str, str]:
    """A rule that holds now and ends with a minute, twenty seconds from now at least."""
    now = from_ms(now_ms())
    end = (now + timedelta(seconds=80)).replace(second=0)
    return {"when": f"{now - timedelta(hours=1):%H:%M}-{end:%H:%M}", "factor": "0.5"}


def comparable(status: Status) -> Status:
    """Without what a ledger that goes on changes every second, and when it was."""
    return msgspec.structs.replace(status, ledger=None, as_of=None)


@dataclass(slots=True)
class Told:
    """What an enforcer said at some time: of the scope, and of a request."""

    status: Status
    decision: dict[str, Any]

    @property
    def at(self) -> str:
        return self.status.as_of.isoformat()

    @property
    def place(self) -> str:
        return f"{self.status.ledger.partition}:{self.status.ledger.offset}"


@dataclass(slots=True)
class History:
    """A stack, and what was said while its history was made."""

    stack: Stack
    connection: Connection
    api: Api
    told: dict[str, Told] = field(default_factory=dict)

    async def remember(self, name: str, reached: Callable[[Status], bool]) -> None:
        """Wait until the enforcer has heard of it, and take down what it says."""
        deadline = steady_ms() + WAIT_MS
        while not reached(status := await self.api.status(SCOPE)):
            assert steady_ms() < deadline, f"{name}: {status}"
            await asyncio.sleep(0.02)
        decision = await self.api.check({**ASK, "max_output_tokens": FITS_AFTER_THE_BOOST, "dry_run": True})
        self.told[name] = Told(status, decision)

    async def spend(self, cost_usd: str) -> None:
        """One request of the project, settled at its price."""
        allowed = await self.api.check({**ASK, "max_output_tokens": 100_000})
        await self.api.settle({"reservation": allowed["reservation"]["id"], "cost_usd": cost_usd})

    async def boost(self, amount_usd: str) -> None:
        url, token = self.connection.need("ingest"), self.stack.token(Role.ADMIN)
        until = from_ms(now_ms() + 3_600_000).isoformat()
        body = {"organization": "acme", "budget": "search", "amount_usd": amount_usd, "until": until, "by": "ada"}
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{url}/v1/boosts", json=body) as got,
        ):
            assert got.status == 200, await got.text()

    async def apply(self, written: dict[str, Any], version: int) -> None:
        await apply_policy(self.api, parse_policy(written), by="ada", reason="", expected_version=version - 1)

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """What a command prints, on stdout and stderr."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
        data = {"SPENDGATE_DATA": str(self.stack.data_dir), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", *arguments, env={**inherited, **data},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, error = await process.communicate()
        assert process.returncode == code, out.decode() + error.decode()
        return out.decode(), error.decode()

    async def status_at(self, at: str) -> PastStatus:
        out, _ = await self.run("status", SCOPE, "--at", at, "-f", "json")
        return msgspec.json.decode(out, type=PastStatus)


def limit_is(amount_usd: str, *, version: int = 1, settled: str = "0.00") -> Callable[[Status], bool]:
    """Whether an enforcer has heard of all this."""

    def reached(status: Status) -> bool:
        windows = [window for window in status.windows if window.window == "total" and window.budgets]
        return (
            status.policy_version == version
            and [(window.budgets[0].limit_usd, window.settled_usd) for window in windows] == [(amount_usd, settled)]
            and all(window.pending_usd == window.reserved_usd == "0.00" for window in status.windows)
        )

    return reached


async def make(history: History) -> None:
    """Two policies, the first with a schedule that ends; usage; a boost."""
    await history.apply(policy("10", halved_for_a_while()), 1)
    await history.remember("a schedule", limit_is("5.00"))
    await history.spend("0.25")
    await history.spend("0.50")
    await history.remember("usage", limit_is("5.00", settled="0.75"))
    await history.boost("4")
    await history.remember("a boost", limit_is("9.00", settled="0.75"))
    await history.remember("the end of the schedule", limit_is("14.00", settled="0.75"))
    await history.apply(policy("2"), 2)
    await history.remember("another policy", limit_is("6.00", version=2, settled="0.75"))


async def assert_as_told(history: History) -> None:
    """Every status is what it was, by the clock and by the ledger; every decision too."""
    for name, told in history.told.items():
        found = await history.status_at(told.at)
        assert comparable(found.status) == comparable(told.status), name
        assert (found.status.as_of, found.outlook.as_of) == (told.status.as_of, told.status.as_of)
        limits = [budget.limit_usd for window in found.outlook.windows for budget in window.budgets]
        assert limits == [budget.limit_usd for window in told.status.windows for budget in window.budgets], name
        output = str(FITS_AFTER_THE_BOOST)
        asking = (
            "gpt-4o",
            "--project",
            "search",
            "--user",
            "alice",
            "--input-tokens",
            "0",
            "--max-output-tokens",
            output,
        )
        allowed = told.decision["action"] == "allow"
        out, _ = await history.run("check", *asking, "--at", told.at, "--json", code=0 if allowed else 1)
        decided = json.loads(out)
        for each in ("action", "reason", "tier", "policy_version", "estimate_usd"):
            assert decided[each] == told.decision[each], (name, each)
    usage = history.told["usage"]
    assert comparable((await history.status_at(usage.place)).status) == comparable(usage.status)


async def assert_policies(history: History) -> None:
    told = history.told
    for name, version in (("usage", 1), ("a boost", 1), ("another policy", 2)):
        shown, read = await history.run("policy", "show", "--at", told[name].at, "--verbose")
        assert shown.startswith(f"# version {version}, applied by ada\n# as of ")
        assert ("boost of search: $4 until" in shown) == (name != "usage")
        assert "events a second" in read
    before = (told["a schedule"].status.as_of - timedelta(hours=1)).isoformat()
    _, error = await history.run("policy", "show", "--org", "acme", "--at", before, code=1)
    assert "had no policy as of" in error


async def assert_the_present_is_asked_too(history: History) -> None:
    asking = ("check", "gpt-4o", "--project", "search", "--input-tokens", "0", "--max-output-tokens")
    denied, _ = await history.run(*asking, str(FITS_AFTER_THE_BOOST), "--tag", "feature=chat", code=1)
    for part in ("denied", "budget exceeded", "a dry run", "policy version 2", "tag feature chat"):
        assert part in denied, denied
    allowed, _ = await history.run(*asking, "100", "--json")
    assert json.loads(allowed)["action"] == "allow"
    now = json.loads((await history.run("status", SCOPE, "-f", "json"))[0])
    assert (now["status"]["policy_version"], now["outlook"]) == (2, None)


async def assert_refusals(history: History) -> None:
    partition, offset = map(int, history.told["usage"].place.split(":"))
    for at, said in (
        (f"{partition}:999999", "is still to come"),
        (f"{partition + 1}:{offset}", f"write {partition}:{offset}"),
        ("2999-01-01", "is still to come"),
        ("yesterday", "PARTITION:OFFSET"),
    ):
        _, error = await history.run("status", SCOPE, "--at", at, code=1)
        assert said in error, error


async def test_what_is_said_of_then_is_what_was_said_then(tmp_path: Path) -> None:
    services = [name for name in ALL if name in ("aggregator", "enforcer", "ingest")]
    async with Stack(tmp_path / "data", services) as stack:
        connection = connect(tmp_path / "data")
        async with open_api(connection) as api:
            history = History(stack, connection, api)
            await make(history)
            assert {name: told.decision["action"] for name, told in history.told.items()} == {
                "a schedule": "deny",
                "usage": "deny",
                "a boost": "allow",
                "the end of the schedule": "allow",
                "another policy": "deny",
            }
            await assert_as_told(history)
            await assert_policies(history)
            await assert_refusals(history)
            await assert_the_present_is_asked_too(history)
            told, _ = await history.run("status", SCOPE, "--at", history.told["a boost"].at)
            for part in ("policy version 1", "search", "$9.0000", "outlook", "shares of enforcers"):
                assert part in told, told
