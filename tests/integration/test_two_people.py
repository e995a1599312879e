"""On the real stack: nobody changes a limit alone, enforcers follow what two agree on, and the log tells who did it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.local.credentials import Credentials
from deploy.local.stack import Stack
from services.adapters.clock import monotonic_ms
from services.adapters.keys import Role, new_key, read_keys, write_keys
from services.aggregator.replay import replay
from services.core.pricing import PriceBook

pytestmark = pytest.mark.timeout(600)

SERVICES = ("ingest", "enforcer", "aggregator-0", "sink", "console")
ROOT = Path(__file__).parents[2]
WAIT_S = 120.0
TIGHT = """
organization: acme
budgets:
  - {name: month, limit_usd: "0.000001", window: month, owner: finance}
governance: {review: required, owners: required, boosts_above_usd: "5"}
"""
WIDE = TIGHT.replace("0.000001", "100")
ASK = {"organization": "acme", "model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 2000}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a key of their own, at the command line."""

    name: str
    token: str
    folder: Path

    async def run(self, *arguments: str) -> tuple[int, str]:
        """A command: its exit code, and all that it said."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
        own = {"SPENDGATE_DATA": str(self.folder), "SPENDGATE_TOKEN": self.token, "PYTHONPATH": str(ROOT)}
        run = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", "policy", *arguments,
            cwd=self.folder, env={**inherited, **own, "COLUMNS": "200", "LOGNAME": self.name},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await run.communicate()
        assert run.returncode is not None
        return run.returncode, said.decode()

    async def ok(self, *arguments: str) -> str:
        """A command that must succeed."""
        code, said = await self.run(*arguments)
        assert code == 0, said
        return said

    async def refused(self, *arguments: str) -> str:
        """A command that must be refused."""
        code, said = await self.run(*arguments)
        assert code == 1, said
        return said


@dataclass(frozen=True, slots=True)
class Company:
    """A stack, and two of its admins."""

    stack: Stack
    ada: Person
    bob: Person

    async def until_answered(self, action: str) -> None:
        """Ask the enforcer until it answers so."""
        headers = {"Authorization": f"Bearer {self.stack.token(Role.EDGE)}"}
        until, answer = monotonic_ms() + WAIT_S * 1000, ""
        async with aiohttp.ClientSession(headers=headers) as session:
            while answer != action:
                assert monotonic_ms() < until, f"still {answer!r}, not {action!r}"
                async with session.post(f"{self.stack.url('enforcer')}/v1/check", json=ASK | {"dry_run": True}) as got:
                    answer = (await got.json()).get("action", "")

    async def log(self, *arguments: str, until: int) -> list[dict[str, Any]]:
        """The audit log, once it holds so many entries; oldest first."""
        deadline = monotonic_ms() + WAIT_S * 1000
        while True:
            said = await self.ada.ok("log", "--org", "acme", "-f", "json", *arguments)
            found: list[dict[str, Any]] = json.loads(said)["audit"]
            if len(found) >= until:
                return found[::-1]
            assert monotonic_ms() < deadline, found


@pytest.fixture
async def company(tmp_path: Path, broker: str, clickhouse: str, prefix: str) -> AsyncIterator[Company]:
    credentials = Credentials.ensure(tmp_path / "keys")
    token, record = new_key(Role.ADMIN, "acme")
    write_keys(credentials.keys_file, [*read_keys(credentials.keys_file), record])
    (tmp_path / "tight.yaml").write_text(TIGHT)
    (tmp_path / "wide.yaml").write_text(WIDE)
    async with Stack(tmp_path, SERVICES, kafka=broker, clickhouse=clickhouse, topic_prefix=prefix) as stack:
        ada = Person("ada", stack.token(Role.ADMIN), tmp_path)
        yield Company(stack, ada, Person("bob", token, tmp_path))


def named(said: str) -> str:
    """The proposal that a command opened."""
    (found,) = set(re.findall(r"prop-[0-9a-f]{16}", said))
    return str(found)


async def test_nobody_changes_a_limit_alone_and_the_log_says_who_did(company: Company) -> None:
    ada, bob = company.ada, company.bob
    assert "version 1 of acme is in force" in await ada.ok("apply", "tight.yaml", "--reason", "to begin with")
    await company.until_answered("deny")

    assert "spendgate policy propose" in await ada.refused("apply", "wide.yaml")
    proposal = named(await ada.ok("propose", "wide.yaml", "--reason", "launch"))
    assert "0.000001" in await bob.ok("review", proposal, "--org", "acme"), "the diff is shown before anybody decides"
    assert "somebody else" in await ada.refused("review", proposal, "--approve", "--org", "acme")
    assert "somebody else" in await ada.refused("review", proposal, "--approve", "--org", "acme", "--by", "bob")
    await company.until_answered("deny")
    assert "version 2 of acme" in await bob.ok("review", proposal, "--approve", "--org", "acme", "--note", "agreed")
    await company.until_answered("allow")

    back = named(await bob.ok("rollback", "1", "--org", "acme", "--reason", "too much"))
    assert "version 3 of acme" in await ada.ok("review", back, "--approve", "--org", "acme")
    await company.until_answered("deny")
    assert "had: 1, 2, 3" in await ada.refused("rollback", "9", "--org", "acme")

    assert "$5 more" in await ada.ok("boost", "month", "5", "--for", "2h", "--org", "acme")
    boost = named(await ada.ok("boost", "month", "7", "--for", "2h", "--org", "acme"))
    assert boost in await bob.ok("proposals", "--org", "acme")
    await bob.ok("review", boost, "--approve", "--org", "acme")
    assert "awaits" in await bob.ok("proposals", "--org", "acme")
    await company.until_answered("allow")

    found = await company.log("--budget", "month", until=8)
    assert [(each["action"], each["by"]) for each in found] == [
        ("policy.applied", "ada"),
        ("policy.proposed", "ada"),
        ("policy.applied", "ada"),
        ("policy.proposed", "bob"),
        ("policy.applied", "bob"),
        ("boost.granted", "ada"),
        ("boost.requested", "ada"),
        ("boost.granted", "ada"),
    ]
    raised = found[2]
    assert (raised["reason"], raised["after"]["approved_by"]) == ("launch", "bob")
    assert (raised["before"]["limits"], raised["after"]["raised"]) == ({"month": "0.000001"}, {"month": "99.999999"})
    assert found[4]["reason"] == "back to version 1: too much"
    approvals = await company.log("--action", "proposal.approved", until=3)
    assert [(each["subject"], each["by"]) for each in approvals] == [(proposal, "bob"), (back, "ada"), (boost, "bob")]
    assert [each["by"] for each in await company.log("--by", "bob", "--budget", "month", until=2)] == ["bob", "bob"]
    assert "month +$99.999999" in await ada.ok("log", "--org", "acme")
    assert (await ada.ok("log", "--org", "acme", "-f", "csv")).startswith("at,action,subject,by,key_id,reason,budgets")

    for name in ("enforcer", "ingest"):  # what they still say would change the changelogs while they are compared
        await company.stack.stop(name)
    audited = await replay(company.stack.settings, PriceBook.bundled())
    assert list(audited.differences) == []
