"""The ClickHouse facade as a program that the supervisor runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploy.local.health import answers
from deploy.local.process import Program

HOST = "127.0.0.1"
PASSWORD_VARIABLE = "SPENDGATE_LOCAL_CLICKHOUSE_PASSWORD"  # noqa: S105


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """An engine with its data in `folder`."""

    folder: Path
    port: int
    log: Path
    password: str = field(repr=False)

    def address(self, database: str) -> str:
        """What services connect to."""
        return f"http://default:{self.password}@{HOST}:{self.port}/{database}"

    def program(self) -> Program:
        """The process that owns the engine."""
        return Program(
            name="clickhouse",
            command=(sys.executable, "-m", "deploy.local.clickhouse", str(self.folder), str(self.port)),
            log=self.log,
            env={PASSWORD_VARIABLE: self.password},
            ready=partial(answers, f"http://{HOST}:{self.port}/ping"),
        )
