"""Acknowledgements through ingest: durable, each organization's own, and what they say is bounded."""

from __future__ import annotations

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
