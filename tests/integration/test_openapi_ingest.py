"""Ingest keeps every promise of its OpenAPI document, whatever is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics
from tests.integration.ingesting import IngestProcess, make_keys
from tests.integration.openapi import assert_conforms


@pytest.mark.timeout(600)
async def test_ingest_conforms_to_its_document(broker: str, prefix: str, tmp_path: Path) -> None:
    settings = Settings(kafka=broker, topic_prefix=prefix)
    await ensure_topics(settings)
    tokens = make_keys(tmp_path / "keys.json")
    ingest = IngestProcess(settings, tmp_path, SPENDGATE_APPLY_WAIT_S="0")
    await ingest.start()
    try:
        async with ingest.client(tokens) as client:
            await client.until_policies_known()
        await assert_conforms(ingest.url, tokens.admin, tmp_path)
        assert ingest.process.running
    finally:
        await ingest.process.stop()
