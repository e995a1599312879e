"""Logs are JSON lines that name their service, never a key, and do not flood when a broker is away."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.adapters import logs
from services.adapters.keys import Role, new_key


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was for the other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    filters = {name: logging.getLogger(name).filters[:] for name in logs.NOISY}
    aiokafka_level = logging.getLogger("aiokafka").level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("aiokafka").setLevel(aiokafka_level)
    for name, kept in filters.items():
        logging.getLogger(name).filters[:] = kept
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_our_lines_and_those_of_libraries_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ingest")
    logs.logger("services.test").info("listening", port=8080)
    logging.getLogger("aiohttp.server").warning("slow %s", "client")
    ours, theirs = lines(capsys)
    assert (ours["event"], ours["port"], ours["level"], ours["service"]) == ("listening", 8080, "info", "ingest")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("slow client", "warning", "aiohttp.server")
    assert ours["at"].endswith("Z")


def test_a_key_is_never_logged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ingest")
    token, _ = new_key(Role.EDGE, "acme")
    log = logs.logger("services.test")
    event = f"got {token}"
    log.info(event, header={"Authorization": f"Bearer {token}"})
    try:
        raise RuntimeError(token)
    except RuntimeError:
        log.exception("failed")
    written = capsys.readouterr().out
    assert token[8:] not in written
    assert written.count("sg_edge_***") >= 3


def test_a_traceback_shows_no_local_values(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ingest")
    secret = "do not show"
    try:
        raise RuntimeError("bad")
    except RuntimeError:
        logs.logger("services.test").exception("failed")
    (line,) = lines(capsys)
    assert line["exception"][0]["exc_type"] == "RuntimeError"
    assert secret not in json.dumps(line)


def test_one_message_of_the_kafka_client_is_logged_once_in_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ingest")
    client = logging.getLogger("aiokafka")
    for node in range(100):
        client.error("Unable connect to node with id %s", node)
    client.error("something else")
    assert [line["event"] for line in lines(capsys)] == ["Unable connect to node with id 0", "something else"]


def test_levels_below_the_chosen_one_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("ingest", "warning")
    logs.logger("services.test").info("quiet")
    logs.logger("services.test").warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]
