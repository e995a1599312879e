"""Spendgate's own services as programs: which there are, what each is told, and in which order they stop."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local.cache import SetupError
from deploy.local.health import answers
from deploy.local.process import Program

HOST = "127.0.0.1"
STOP_ORDER = (("console", "ingest", "enforcer"), ("steward",), ("aggregator",), ("forecaster",), ("notifier", "sink"))
"""Who takes requests stops first, who carries their consequences later."""
ALL = tuple(name for group in STOP_ORDER for name in group)
INSTANCE = re.compile(rf"({'|'.join(ALL)})(-\d+)?")
TUNED = {"sink": {"SPENDGATE_SESSION_TIMEOUT_MS": "3000"}}
"""On one machine nobody is unreachable for long, and whoever died should be back soon."""
NAME_VARIABLE = {"aggregator": "SPENDGATE_INSTANCE", "enforcer": "SPENDGATE_ENFORCER"}
"""Services of which several may run want to know which one they are."""

RPC_SOCKET = "rpc.sock"
SOCKET_PATH_BYTES_MAX = 107
"""In a folder deeper than that no Unix socket can be: the enforcer then serves HTTP only."""


def kind_of(name: str) -> str:
    """The service that an instance is one of: `aggregator-1` is an aggregator. Raises `SetupError`."""
    match = INSTANCE.fullmatch(name)
    if match is None:
        raise SetupError(
            f"no service is named {name!r}: there are {', '.join(ALL)}, and instances such as sink-0, sink-1"
        )
    return match[1]


def url_of(port: int) -> str:
    """Where a service on this port listens."""
    return f"http://{HOST}:{port}"


def service_program(name: str, port: int, folder: Path, log: Path, environment: Mapping[str, str]) -> Program:
    """One instance of a service, ready once it says so itself. Raises `SetupError` for an unknown service."""
    kind = kind_of(name)
    own = {"SPENDGATE_HOST": HOST, "SPENDGATE_PORT": str(port), "SPENDGATE_DATA_DIR": str(folder)}
    if kind in NAME_VARIABLE:
        own[NAME_VARIABLE[kind]] = name
    if kind == "enforcer" and len(os.fsencode(socket := folder / RPC_SOCKET)) <= SOCKET_PATH_BYTES_MAX:
        own["SPENDGATE_RPC_SOCKET"] = str(socket)
    folder.mkdir(parents=True, exist_ok=True)
    return Program(
        name=name,
        command=(sys.executable, "-m", f"services.{kind}"),
        log=log,
        env={**own, **TUNED.get(kind, {}), **environment},
        ready=partial(answers, f"{url_of(port)}/readyz"),
        stop_within_s=30.0,
    )
