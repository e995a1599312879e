"""Whatever is sent to an enforcer, the answer is a clear refusal, nothing of others is told, and it stays up."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.adapters.ledger import EventTooLarge
from services.adapters.scope_path import scope_in_path
from services.enforcer.refusals import REFUSED, refusal
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import Client, Keys, make_keys, running_enforcer, slow_aggregator
from tests.integration.openapi import assert_conforms

ASK: dict[str, Any] = {"organization": "acme", "model": "gpt-4o", "input_tokens": 1}
SETTLE: dict[str, Any] = {"reservation": "rsv-a-1-1", "organization": "acme", "gen_ai.request.model": "gpt-4o"}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
async def enforcer(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> AsyncIterator[Client]:
    settings = EnforcerSettings(kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer")
    async with slow_aggregator(settings) as aggregator, running_enforcer(settings, keys.edge) as client:
        policy = await aggregator.policy("acme", {"name": "day", "limit_usd": "1000", "window": "day"})
        await client.day(after=policy)
        yield client


async def test_bad_bodies_are_refused_with_the_field_and_the_reason(enforcer: Client) -> None:
    cases: list[tuple[str, bytes, int, str | None]] = [
        ("/v1/check", b"", 400, None),
        ("/v1/check", b"{", 400, None),
        ("/v1/check", b"\xff\xfe", 400, None),
        ("/v1/check", b"[]", 422, None),
        ("/v1/check", b"[" * 100_0 + b"]" * 100_0, 422, None),
        ("/v1/check", b'{"organization":"\xff","model":"m","input_tokens":1}', 400, None),
        ("/v1/check", b'{"organization":"\\ud800","model":"m","input_tokens":1}', 400, None),
        ("/v1/check", body(ASK, input_tokens=-1), 422, "input_tokens"),
        ("/v1/check", body(ASK, input_tokens=10**30), 422, "input_tokens"),
        ("/v1/check", body(ASK, input_tokens=1.5), 422, "input_tokens"),
        ("/v1/check", body(ASK, input_tokens="1"), 422, "input_tokens"),
        ("/v1/check", body({"organization": "acme", "model": "gpt-4o"}), 422, "input_tokens"),
        ("/v1/check", body(ASK, input_chars=1), 422, "input_chars"),
        ("/v1/check", body(ASK, messages=[]), 422, "messages"),
        ("/v1/check", body(ASK, tools=[]), 422, "tools"),
        ("/v1/check", body(ASK, input_tokens=None, input_chars=25_000_001), 422, "input_chars"),
        ("/v1/check", body(ASK, input_tokens=None, messages=[{}, 7]), 422, "messages[1]"),
        ("/v1/check", b'{"organization":"acme","model":"m","messages":[{"a":' + b"[" * 2000, 400, None),
        ("/v1/check", b'{"organization":"acme","model":"m","messages":[{"a":"\\ud800"}]}', 400, None),
        ("/v1/check", body(ASK, max_output_tokens=-1), 422, "max_output_tokens"),
        ("/v1/check", body(ASK, priority="urgent"), 422, "priority"),
        ("/v1/check", body(ASK, organization=""), 422, "organization"),
        ("/v1/check", body(ASK, user="u" * 300), 422, "user"),
        ("/v1/check", body(ASK, tags={f"t{n}": "" for n in range(65)}), 422, "tags"),
        ("/v1/check", body(ASK, tags={"t": "v" * 600}), 422, "tags[...]"),
        ("/v1/check", body(ASK, max_tokens=5), 422, None),
        ("/v1/settle", body(SETTLE, cost_usd="-1"), 422, "cost_usd"),
        ("/v1/settle", body(SETTLE, cost_usd="NaN"), 422, "cost_usd"),
        ("/v1/settle", body(SETTLE, cost_usd="1e9"), 422, "cost_usd"),
        ("/v1/settle", body(SETTLE, reservation=""), 422, "reservation"),
        ("/v1/settle", body(SETTLE, **{"gen_ai.usage.input_tokens": -1}), 422, "gen_ai.usage.input_tokens"),
        ("/v1/release", body({"reservation": 1}), 422, "reservation"),
        ("/v1/release", body({"reservation": "rsv-a-1-1"}), 404, "reservation"),
    ]
    for path, sent, status, field in cases:
        answer = await enforcer.call("POST", path, sent)
        assert (answer.status, answer.body["error"].get("field")) == (status, field), (path, sent[:80], answer)
        assert answer.body["error"]["message"]
    assert (await enforcer.check()).status == 200


async def test_too_much_is_refused_before_it_is_read(enforcer: Client) -> None:
    large = b'{"organization":"' + b"a" * 50_000_000 + b'"}'
    assert (await enforcer.call("POST", "/v1/check", large)).status == 413
    bomb = gzip.compress(large)
    headers = {"Content-Encoding": "gzip"}
    assert len(bomb) < 64 << 10
    assert (await enforcer.call("POST", "/v1/check", bomb, **headers)).status == 413
    small = gzip.compress(body(ASK))
    assert (await enforcer.call("POST", "/v1/check", small, **headers)).status == 200


@pytest.mark.parametrize(
    "scope",
    ["acme", "org:acme/user:", "org:acme/org:acme", "org:acme/floor:3", "project:search", "%zz:1"],
)
async def test_scopes_that_are_none_are_refused(enforcer: Client, scope: str) -> None:
    answer = await enforcer.call("GET", f"/v1/status/{scope}")
    assert (answer.status, answer.body["error"]["code"]) == (422, "invalid_scope")


@pytest.mark.parametrize("query", ["after=1", "after=a:b", "after=1:-1", "wait_ms=-1", "wait_ms=30001", "wait_ms=x"])
async def test_queries_that_cannot_be_meant_are_refused(enforcer: Client, query: str) -> None:
    answer = await enforcer.call("GET", f"/v1/status/org:acme?{query}")
    assert (answer.status, answer.body["error"]["field"]) == (422, query.partition("=")[0])


async def test_names_that_look_like_scopes_stay_names(enforcer: Client) -> None:
    await enforcer.check(user="a/b@c:%", max_output_tokens=2000)
    encoded = "org:acme/user:a%2Fb%40c%3A%25"
    assert (await enforcer.day(encoded))["reserved_usd"] == "0.0225"
    assert (await enforcer.day("org:acme/user:a%2Fb@c:%25"))["reserved_usd"] == "0.0225"
    assert (await enforcer.day("org:acme/user:a"))["reserved_usd"] == "0.00"


@pytest.mark.parametrize(
    "path",
    ["org:acme/user:a%2Fb%40c%3A%25", "org:acme/user:a%2Fb@c:%25", "org%3Aacme%2Fuser%3Aa%252Fb%2540c%253A%2525"],
)
def test_a_scope_in_a_path_is_understood_however_the_client_encodes_it(path: str) -> None:
    assert scope_in_path(f"/v1/status/{path}", "/v1/status/") == "org:acme/user:a%2Fb%40c%3A%25"


def test_an_event_that_no_record_can_carry_is_a_refusal_like_others() -> None:
    error = EventTooLarge("too large")
    assert isinstance(error, REFUSED)
    assert (refusal(error).status, refusal(error).code) == (413, "event_too_large")


async def test_a_key_touches_its_own_organization_only(enforcer: Client, keys: Keys) -> None:
    reservation = await enforcer.reserve()
    other = Client(enforcer.session, enforcer.url, keys.other)
    refused = [
        await other.check(),
        await other.settle(reservation),
        await other.post("/v1/settle", SETTLE),
        await other.post("/v1/release", {"reservation": reservation}),
        await other.call("GET", "/v1/status/org:acme"),
    ]
    assert [answer.status for answer in refused] == [403] * 5
    assert (await enforcer.day())["reserved_usd"] == "0.0225"


async def test_each_role_may_do_what_it_is_for(enforcer: Client, keys: Keys) -> None:
    viewer = Client(enforcer.session, enforcer.url, keys.viewer)
    assert (await viewer.check()).status == 403
    assert (await viewer.call("GET", "/v1/status/org:acme")).status == 200
    nobody = Client(enforcer.session, enforcer.url, "sg_edge_" + "x" * 43)
    assert (await nobody.check()).status == 401
    assert (await nobody.call("GET", "/v1/position")).status == 401


@pytest.mark.timeout(600)
async def test_the_enforcer_conforms_to_its_document(enforcer: Client, keys: Keys, tmp_path: Path) -> None:
    await assert_conforms(enforcer.url, keys.admin, tmp_path)
    assert (await enforcer.check()).status == 200


def body(base: dict[str, Any], **changed: Any) -> bytes:
    return json.dumps({**base, **changed}).encode()
