"""README's first budget in five minutes, run as it is written: every block, in one shell, against a real stack."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local.service import ALL
from deploy.local.stack import Stack
from services.cli.api import open_api
from services.cli.connection import connect
from services.cli.warehouse import open_warehouse

ROOT = Path(__file__).parents[2]
SECTION = "## A first budget in five minutes"
DONE = "--- done:"
# Tells every command that fails, without stopping there: `policy diff` is to exit with 1 when there is something to do.
TELL_FAILURES = """trap 'echo "--- exit code $? of: $BASH_COMMAND"' ERR\n"""


class Shell:
    """A person's terminal: commands go in, what they print and which of them failed comes out."""

    def __init__(self, bash: asyncio.subprocess.Process) -> None:
        self._bash = bash

    async def run(self, commands: str) -> str:
        """What these commands print."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{commands}\necho {DONE}\n".encode())
        printed = (await self._bash.stdout.readuntil(f"{DONE}\n".encode())).decode()
        return printed.removesuffix(f"{DONE}\n")


@asynccontextmanager
async def shell(folder: Path) -> AsyncIterator[Shell]:
    """A fresh shell in a folder that looks like the repository after `make up`, knowing of no stack."""
    (folder / ".venv").symlink_to(sys.prefix)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
    bash = await asyncio.create_subprocess_exec(
        "bash", "-s", cwd=folder, env={**inherited, "COLUMNS": "120"}, stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    try:
        opened = Shell(bash)
        await opened.run(TELL_FAILURES)
        yield opened
    finally:
        bash.kill()
        await bash.wait()


def blocks() -> list[str]:
    """The shell blocks of the section."""
    section = (ROOT / "README.md").read_text().split(f"{SECTION}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(600)
async def test_the_first_budget_works_as_it_is_written(tmp_path: Path) -> None:
    up, policy, check, settle, deny, report, look = blocks()
    assert up.startswith("make up ")
    async with Stack(tmp_path / ".spendgate", ALL), shell(tmp_path) as person:
        printed = await person.run(policy)
        assert failures(printed) == ["1 of: spendgate policy diff acme.yaml"]
        assert "$0.02 a day on user:*" in printed
        assert "version 1 of acme is in force" in printed

        await enforced(tmp_path)
        allowed = document(await person.run(check))
        assert (allowed["action"], allowed["reason"]) == ("allow", "within_budget")
        assert [each["budget"] for each in allowed["budgets"]] == ["company-month", "search-day", "each-user-day"]

        printed = await person.run(settle)
        settled = document(printed.partition("org:acme")[0])
        assert (settled["state"], settled["reservation"]) == ("settled", allowed["reservation"]["id"])
        assert settled["cost_usd"] == "0.00512"
        assert "each-user-day" in printed
        assert failures(printed) == []

        denied = document(await person.run(deny))
        assert (denied["action"], denied["reason"]) == ("deny", "budget_exceeded")
        assert "each-user-day" in denied["message"]
        assert denied["remedies"]

        accepted = document(await person.run(report))
        assert (accepted["accepted"], accepted["rejected"]) == (1, 0)

        await both_arrived(tmp_path)
        printed = await person.run(look)
        assert failures(printed) == []
        assert re.search(r"alice +\$0\.0051 .*\n +bob +\$0\.0002 ", printed)
        assert "the ledger, folded anew" in printed
        assert "fullest budgets" in printed


async def enforced(folder: Path) -> None:
    """Whoever reads on takes longer than an enforcer takes to hear of a policy; a test may not."""
    async with open_api(connect(folder / ".spendgate")) as api:
        while not (await api.status("org:acme")).policy_version:
            await asyncio.sleep(0.05)


async def both_arrived(folder: Path) -> None:
    """README says "a second later"; a busy machine may take longer."""
    async with open_warehouse(connect(folder / ".spendgate").settings) as warehouse:
        assert await warehouse.await_requests("acme", 2, timeout_s=90)


def document(printed: str) -> dict[str, Any]:
    """What was printed, as JSON."""
    assert failures(printed) == []
    decoded: dict[str, Any] = json.loads(printed)
    return decoded


def failures(printed: str) -> list[str]:
    """The commands that failed, with their exit codes."""
    return re.findall(r"^--- exit code (.*)$", printed, re.MULTILINE)
