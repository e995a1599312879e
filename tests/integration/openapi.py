"""Runs Schemathesis over a running service: every documented promise of its OpenAPI document is tried."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

CONFIG = Path(__file__).with_name("schemathesis.toml")
RUN = "from schemathesis.cli import schemathesis; schemathesis()"


async def assert_conforms(url: str, token: str, folder: Path, *, examples: int = 25) -> None:
    """Fail with Schemathesis' own report unless all checks pass.

    `token`: an admin's key, so that bodies get past the gate; missing and wrong keys are tried as well. `folder` takes
    its scratch files.
    """
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, "--config-file", str(CONFIG), "run", f"{url}/openapi.json",
        "--header", f"Authorization: Bearer {token}", "--max-examples", str(examples), "--request-timeout", "20",
        cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await run.communicate()
    assert run.returncode == 0, output.decode()
    assert b" passed" in output, output.decode()
