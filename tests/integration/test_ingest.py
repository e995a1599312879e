"""Ingest over HTTP on a real broker: every event gets its fate, and hostile bodies a clear answer."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.adapters.settings import Settings
from services.adapters.topics import ensure_topics
from services.adapters.web import listening
from services.ingest.app import build
from services.ingest.settings import IngestSettings
from tests.integration.ingesting import Client, arrived, make_keys, records_of, usage

LARGEST_BODY = 1 << 20


@pytest.fixture
async def settings(broker: str, prefix: str, tmp_path: Path) -> IngestSettings:
    """Ingest with small limits, on topics of its own."""
    await ensure_topics(Settings(kafka=broker, topic_prefix=prefix))
    return IngestSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=tmp_path / "keys.json",
        data_dir=tmp_path,
        max_body_bytes=LARGEST_BODY,
        max_batch_events=1000,
        append_timeout_s=30.0,
        apply_wait_s=0.0,
    )


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


ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


@pytest.mark.parametrize(
    ("media", "body", "count"),
    [
        (ONE, json.dumps(usage(1)).encode(), 1),
        ("application/cloudevents+json; charset=utf-8", json.dumps(usage(1)).encode(), 1),
        ("application/json", json.dumps(usage(1)).encode(), 1),
        ("application/json", json.dumps([usage(1), usage(2)]).encode(), 2),
        (BATCH, json.dumps([usage(1), usage(2)]).encode(), 2),
        (LINES, b"\n".join(json.dumps(usage(n)).encode() for n in range(3)), 3),
        (LINES, b"\r\n".join(json.dumps(usage(n)).encode() for n in range(3)) + b"\r\n\r\n", 3),
    ],
)
async def test_every_form_of_body_is_taken(
    ingest: Client, settings: Settings, media: str, body: bytes, count: int
) -> None:
    answer = await ingest.post("/v1/events", body, media=media)
    assert (answer.status, answer.body["accepted"], answer.body["rejected"]) == (202, count, 0)
    assert answer.body["durability"] == "kafka"
    (position,) = answer.body["positions"]
    record = (await records_of(settings))[position["partition"]][position["offset"]]
    assert len(json.loads(record)) == count


async def test_gzip_is_taken_even_in_several_members(ingest: Client, settings: Settings) -> None:
    body = json.dumps([usage(n) for n in range(100)]).encode()
    twice = gzip.compress(body[:500]) + gzip.compress(body[500:])
    answer = await ingest.post("/v1/events", twice, Content_Encoding="gzip")
    assert (answer.status, answer.body["accepted"]) == (202, 100)
    assert len(await arrived(settings)) == 100


async def test_what_arrives_is_what_was_sent_without_what_nobody_knows(ingest: Client, settings: Settings) -> None:
    sent = usage(1, tags={"feature": "autocomplete", "größe": "XL"}, cost_usd="0.0125")
    await ingest.post("/v1/events", {**sent, "traceparent": "00-abc", "datacontenttype": "application/json"})
    (event,) = await arrived(settings)
    assert event["data"] == sent["data"]
    assert {name: event[name] for name in ("id", "source", "type", "specversion")} == {
        name: sent[name] for name in ("id", "source", "type", "specversion")
    }
    assert "traceparent" not in event


async def test_each_event_of_a_batch_has_its_own_fate(ingest: Client, settings: Settings) -> None:
    batch = [
        usage(1),
        usage(2, age=timedelta(hours=49)),
        usage(3, age=timedelta(minutes=-6)),
        {**usage(4), "id": 5},
        usage(5, latency_ms=-1),
        {**usage(6), "type": "spendgate.policy.changed.v1"},
        "not an event",
        usage(8, age=timedelta(hours=47)),
    ]
    answer = await ingest.post("/v1/events", batch)
    assert (answer.status, answer.body["accepted"], answer.body["rejected"]) == (202, 2, 6)
    fates = [(fate["fate"], fate.get("reason"), fate.get("field")) for fate in answer.body["events"]]
    assert fates == [
        ("accepted", None, None),
        ("rejected", "late", "time"),
        ("rejected", "future", "time"),
        ("rejected", "wrong_type", "id"),
        ("rejected", "out_of_range", "data.latency_ms"),
        ("rejected", "unknown_type", "type"),
        ("rejected", "wrong_type", None),
        ("accepted", None, None),
    ]
    assert all(fate["message"] for fate in answer.body["events"] if fate["fate"] == "rejected")
    assert [event["id"] for event in await arrived(settings)] == ["acme-00000001", "acme-00000008"]
    kept = [event["data"] for event in await arrived(settings, "rejected")]
    assert [rejection["reason"] for rejection in kept] == [reason for _, reason, _ in fates if reason]
    assert [json.loads(rejection["event"]) for rejection in kept] == batch[1:7]
    assert {rejection["stage"] for rejection in kept} == {"ingest"}


async def test_a_request_without_one_good_event_is_unprocessable_and_kept(ingest: Client, settings: Settings) -> None:
    answer = await ingest.post("/v1/events", [usage(1, age=timedelta(days=3)), {}])
    assert answer.status == 422
    assert answer.body["error"]["code"] == "no_event_accepted"
    assert [fate["reason"] for fate in answer.body["events"]] == ["late", "missing"]
    assert await arrived(settings) == []
    assert len(await arrived(settings, "rejected")) == 2


async def test_a_large_rejected_event_is_kept_bounded_with_its_digest(ingest: Client, settings: Settings) -> None:
    huge = usage(1, request_id="x" * 50_000)
    answer = await ingest.post("/v1/events", [huge, usage(2)])
    assert [fate.get("reason") for fate in answer.body["events"]] == ["too_large", None]
    (rejection,) = await arrived(settings, "rejected")
    assert len(rejection["data"]["event"]) < 9000
    assert "sha256" in rejection["data"]["event"]


DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "media", "encoding", "status", "code"),
    [
        (b'{"id": ', "application/json", None, 422, "no_event_accepted"),
        (b"[{]", "application/json", None, 400, "invalid_json"),
        (b"[1e999]", "application/json", None, 422, "no_event_accepted"),
        (b'[{"id": "\xff\xfe"}]', "application/json", None, 400, "invalid_utf8"),
        (b"\xff\xfe[\x00]\x00", "application/json", None, 400, "invalid_utf8"),
        (b"[" * DEEP + b"]" * DEEP, "application/json", None, 400, "invalid_json"),
        (b'{"data":' * DEEP + b"1" + b"}" * DEEP, ONE, None, 422, "no_event_accepted"),
        (b"", "application/json", None, 400, "no_events"),
        (b"   \n", LINES, None, 400, "no_events"),
        (b"[]", BATCH, None, 400, "no_events"),
        (b"{}", BATCH, None, 400, "invalid_json"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", BATCH, None, 413, "too_many_events"),
        (b"[]", "text/plain", None, 415, "unsupported_content_type"),
        (b"[]", "application/json", "br", 415, "unsupported_encoding"),
        (b"no gzip", "application/json", "gzip", 400, "invalid_gzip"),
        (gzip.compress(b"[1, 2, 3]")[:-9], "application/json", "gzip", 400, "invalid_gzip"),
        (gzip.compress(b" " * 200_000_000), "application/json", "gzip", 413, "body_too_large"),
        (b" " * (LARGEST_BODY + 1), "application/json", None, 413, "body_too_large"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_hostile_bodies_get_a_named_refusal(
    ingest: Client, body: bytes, media: str, encoding: str | None, status: int, code: str
) -> None:
    headers = {"Content_Encoding": encoding} if encoding else {}
    answer = await ingest.post("/v1/events", body, media=media, **headers)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    assert answer.body["error"]["message"]
    assert (await ingest.post("/v1/events", usage(1))).status == 202


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        ({"gen_ai.usage.input_tokens": -1}, "out_of_range", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": 10**12}, "out_of_range", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": 10**400}, "out_of_range", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": 1.5}, "wrong_type", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": True}, "wrong_type", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": "5"}, "wrong_type", "data.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.cache_read.input_tokens": 5000}, "inconsistent", "data.gen_ai.usage.cache_read.input_tokens"),
        ({"tags": {f"tag-{number}": "x" for number in range(10_000)}}, "too_large", "data.tags"),
        ({"cost_usd": "-5"}, "bad_format", "data.cost_usd"),
        ({"cost_usd": "NaN"}, "bad_format", "data.cost_usd"),
        ({"user": "a\u202eb"}, "bad_format", "data.user"),
        ({"surprise": 1}, "unknown_field", "data.surprise"),
    ],
)
async def test_hostile_usage_is_rejected_by_field(
    ingest: Client, settings: Settings, data: dict[str, Any], reason: str, field: str | None
) -> None:
    answer = await ingest.post("/v1/events", usage(1, **data))
    (fate,) = answer.body["events"]
    assert (answer.status, fate["reason"], fate.get("field")) == (422, reason, field)
    assert len(await arrived(settings, "rejected")) == 1
    assert await arrived(settings) == []


async def test_fifty_megabytes_are_refused_and_the_service_stays_up(ingest: Client) -> None:
    refused = False
    try:
        answer = await ingest.post("/v1/events", b" " * 50_000_000)
        refused = answer.status == 413
    except aiohttp.ClientConnectionError:
        refused = True  # the server closed the connection before all of it was sent
    assert refused
    assert (await ingest.post("/v1/events", usage(1))).status == 202


async def test_one_event_of_another_organization_refuses_the_whole_request(ingest: Client, settings: Settings) -> None:
    batch = [usage(1), usage(2, "globex"), usage(3)]
    answer = await ingest.post("/v1/events", batch)
    assert (answer.status, answer.body["error"]["code"]) == (403, "other_organization")
    assert answer.body["error"]["field"] == "events[1].data.organization"
    invalid = [usage(1), usage(2, "globex", surprise=1)]
    assert (await ingest.post("/v1/events", invalid)).status == 403
    assert (await arrived(settings), await arrived(settings, "rejected")) == ([], [])
    assert (await ingest.post("/v1/events", batch, token=ingest.tokens.admin)).status == 202


async def test_only_an_admin_corrects_charges(ingest: Client) -> None:
    correction = {
        **usage(1),
        "type": "spendgate.usage.corrected.v1",
        "data": {
            "organization": "acme",
            "gen_ai.request.model": "gpt-4o",
            "charge": "0-17-0",
            "charged_at": usage(1)["time"],
            "cost_usd": "0.25",
            "reason": "a price became known",
        },
    }
    assert (await ingest.post("/v1/events", correction)).body["events"][0]["reason"] == "unknown_type"
    assert (await ingest.post("/v1/events", correction, token=ingest.tokens.admin)).status == 202


POLICY = {"organization": "acme", "budgets": [{"name": "month", "limit_usd": "50", "window": "month"}]}
CHANGE = {"policy": POLICY, "by": "alice", "reason": "a first budget"}
BOOST = {"organization": "acme", "budget": "month", "amount_usd": "5", "until": "2099-01-01T00:00:00Z", "by": "alice"}


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("post", "/v1/events", usage(1), {"edge": 202, "admin": 202}),
        ("post", "/v1/policies", CHANGE, {"admin": 202}),
        ("post", "/v1/boosts", BOOST, {"admin": 422}),
        ("get", "/v1/policies/acme", None, {"viewer": 404, "admin": 404}),
    ],
)
async def test_who_may_do_what(ingest: Client, method: str, path: str, body: Any, allowed: dict[str, int]) -> None:
    tokens = {"edge": ingest.tokens.edge, "viewer": ingest.tokens.viewer, "admin": ingest.tokens.admin}
    for role, token in tokens.items():
        answer = await (ingest.post(path, body, token=token) if method == "post" else ingest.get(path, token=token))
        assert answer.status == allowed.get(role, 403), role
        if role not in allowed:
            assert answer.body["error"]["code"] == "role_not_allowed"
    for token in ("sg_edge_" + "A" * 43, "nonsense", ingest.tokens.edge[:-1], ingest.tokens.edge + "x"):
        answer = await (ingest.post(path, body, token=token) if method == "post" else ingest.get(path, token=token))
        assert (answer.status, answer.body["error"]["type"]) == (401, "authentication_failed")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_viewer_sees_no_other_organization(ingest: Client) -> None:
    answer = await ingest.get("/v1/policies/globex", token=ingest.tokens.viewer)
    assert (answer.status, answer.body["error"]["code"]) == (403, "other_organization")


async def test_a_policy_gets_the_next_version_and_reaches_the_ledger(ingest: Client, settings: Settings) -> None:
    answers = [await ingest.post("/v1/policies", CHANGE, token=ingest.tokens.admin) for _ in range(2)]
    assert [(answer.status, answer.body["version"], answer.body["applied"]) for answer in answers] == [
        (202, 1, False),
        (202, 2, False),
    ]
    written = await arrived(settings)
    assert [event["data"]["version"] for event in written] == [1, 2]
    assert len({event["id"] for event in written}) == 2
    assert written[0]["data"]["policy"]["budgets"][0]["limit_usd"] == "50"
    assert (written[0]["data"]["by"], written[0]["data"]["reason"]) == ("alice", "a first budget")


async def test_a_wrong_policy_is_refused_with_all_its_problems(ingest: Client, settings: Settings) -> None:
    budgets = [{"name": "a", "limit_usd": -1, "window": "fortnight"}]
    change = {**CHANGE, "policy": {"organization": "acme", "timezone": "Mars/Base", "budgets": budgets}}
    answer = await ingest.post("/v1/policies", change, token=ingest.tokens.admin)
    assert (answer.status, answer.body["error"]["code"]) == (422, "invalid_policy")
    fields = {problem["field"] for problem in answer.body["problems"]}
    assert fields == {"policy.timezone", "policy.budgets[0].limit_usd", "policy.budgets[0].window"}
    assert answer.body["error"]["field"] in fields
    assert await arrived(settings) == []


@pytest.mark.parametrize(
    ("path", "change", "status", "code", "field"),
    [
        ("/v1/policies", {**CHANGE, "expected_version": 7}, 409, "version_conflict", "expected_version"),
        ("/v1/policies", {"policy": POLICY}, 422, "invalid_field", "by"),
        ("/v1/policies", {**CHANGE, "bye": "x"}, 422, "invalid_field", "bye"),
        ("/v1/policies", [CHANGE], 422, "invalid_field", None),
        ("/v1/policies", b"{", 400, "invalid_json", None),
        ("/v1/boosts", BOOST, 422, "unknown_budget", "budget"),
        ("/v1/boosts", {**BOOST, "amount_usd": "-5"}, 422, "invalid_field", "amount_usd"),
        ("/v1/boosts", {**BOOST, "until": "tomorrow"}, 422, "invalid_field", "until"),
    ],
)
async def test_wrong_changes_are_refused_by_field(
    ingest: Client, settings: Settings, path: str, change: Any, status: int, code: str, field: str | None
) -> None:
    answer = await ingest.post(path, change, token=ingest.tokens.admin)
    error = answer.body["error"]
    assert (answer.status, error["code"], error.get("field")) == (status, code, field)
    assert await arrived(settings) == []


async def test_the_system_routes_answer_without_a_key(ingest: Client) -> None:
    assert (await ingest.get("/healthz")).body == {"status": "ok"}
    assert (await ingest.get("/readyz")).body["ready"] is True
    assert (await ingest.get("/openapi.json")).body["openapi"] == "3.1.0"
    await ingest.post("/v1/events", [usage(1), {}])
    metrics = (await ingest.get("/metrics")).body.decode()
    assert 'spendgate_ingest_events_total{fate="accepted"} 1.0' in metrics
    assert 'spendgate_ingest_events_total{fate="rejected"} 1.0' in metrics
    assert 'spendgate_http_requests_total{route="/v1/events",status="202"} 1.0' in metrics
    assert "acme" not in metrics
