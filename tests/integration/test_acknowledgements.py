"""Acknowledgements through ingest: durable, each organization's own, and what they say is bounded."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from services.adapters.topics import ensure_topics
from services.adapters.web import listening
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.state import LedgerState
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from tests.integration.aggregating import read_all
from tests.integration.ingesting import Client, make_keys

ROOT = Path(__file__).parents[2]
TOLD: dict[str, Any] = {
    "organization": "acme",
    "alert": "month/org:acme@month:2026-11/9000",
    "by": "alice",
    "note": "on it",
}


@pytest.fixture
async def settings(broker: str, prefix: str, tmp_path: Path) -> IngestSettings:
    made = IngestSettings(kafka=broker, topic_prefix=prefix, keys_file=tmp_path / "keys.json", data_dir=tmp_path)
    await ensure_topics(made)
    return made


@pytest.fixture
async def ingest(settings: IngestSettings, tmp_path: Path) -> AsyncIterator[Client]:
    tokens = make_keys(tmp_path / "keys.json")
    async with (
        listening(build(settings), settings) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        client = Client(session, tokens)
        await client.until_policies_known()
        yield client


async def test_a_viewer_may_acknowledge_its_own_alerts_and_no_others(ingest: Client, settings: IngestSettings) -> None:
    answer = await ingest.post("/v1/acknowledgements", TOLD, token=ingest.tokens.viewer)
    assert (answer.status, answer.body["alert"], answer.body["durability"]) == (202, TOLD["alert"], "kafka")
    (record,) = await read_all(settings, "ledger")
    (event,) = msgspec.json.decode(record.value)
    assert (event["type"], event["id"]) == ("spendgate.alert.acknowledged.v1", answer.body["id"])
    key_id = event["data"].pop("key_id")
    assert event["data"] == TOLD
    assert key_id
    assert key_id not in ingest.tokens.viewer
    theirs = await ingest.post("/v1/acknowledgements", {**TOLD, "organization": "globex"}, token=ingest.tokens.viewer)
    assert (theirs.status, theirs.body["error"]["code"]) == (403, "other_organization")


async def test_sent_again_under_its_id_an_acknowledgement_goes_on_record_once(
    ingest: Client, settings: IngestSettings
) -> None:
    named = {**TOLD, "id": "page-7f3a"}
    for told in (named, named, TOLD, TOLD):
        answer = await ingest.post("/v1/acknowledgements", told, token=ingest.tokens.viewer)
        assert answer.status == 202
        assert told is TOLD or answer.body["id"] == "page-7f3a"
    state, entries = LedgerState(0, PriceBook.bundled()), []
    for record in await read_all(settings, "ledger"):
        entries += fold(state, Record(0, record.offset, record.timestamp, record.value)).audit
    assert [(entry.action, entry.subject) for entry in entries] == [("alert.acknowledged", TOLD["alert"])] * 3


async def test_the_command_acknowledges_with_a_viewers_key_and_says_so(
    settings: IngestSettings, tmp_path: Path
) -> None:
    tokens = make_keys(tmp_path / "keys.json")
    async with listening(build(settings), settings) as port:
        where = {"SPENDGATE_INGEST_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        told = ("--org", "acme", "--by", "alice", "--note", "on it")
        said = await spendgate("ack", TOLD["alert"], *told, **where, SPENDGATE_TOKEN=tokens.viewer)
        refused = await spendgate("ack", TOLD["alert"], *told, **where, SPENDGATE_TOKEN=tokens.edge)
    assert said == (0, f"alice has {TOLD['alert']} from here")
    assert refused[0] != 0
    (record,) = await read_all(settings, "ledger")
    (event,) = msgspec.json.decode(record.value)
    assert {name: event["data"][name] for name in TOLD} == TOLD


async def spendgate(*arguments: str, **environment: str) -> tuple[int | None, str]:
    """Run the real command; its exit code and what it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPENDGATE_")}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", *arguments),
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, _ = await running.communicate()
    return running.returncode, printed.decode().strip()


async def test_a_gateway_acknowledges_nothing(ingest: Client) -> None:
    assert (await ingest.post("/v1/acknowledgements", TOLD, token=ingest.tokens.edge)).status == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("alert", ""), ("alert", "a" * 257), ("by", ""), ("by", "a\nb"), ("note", "n" * 5000)),
        *(("id", ""), ("id", "i" * 257), ("more", "x")),
    ],
)
async def test_what_makes_no_sense_is_refused_by_field(ingest: Client, field: str, value: str) -> None:
    answer = await ingest.post("/v1/acknowledgements", {**TOLD, field: value}, token=ingest.tokens.admin)
    assert (answer.status, answer.body["error"]["field"]) == (422, field)
