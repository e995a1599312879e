"""A real Envoy in front of a model API: an enforcer decides each call before it goes through, over HTTP and gRPC."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import openai
import pytest

from deploy.local.ports import free_port
from tests.e2e.gateways import HOSTILE, UPSTREAM_KEY, Gateway, budget_headers, client_token, running_envoy
from tests.e2e.guarded import Guarded, denials, hanging, hold_answers
from tests.e2e.models import USAGE
from tests.e2e.throttled import assert_waits_as_told
from tests.integration.enforcing import position_of


@pytest.fixture(params=["http", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def envoy(behind: Guarded, transport: str) -> AsyncIterator[Gateway]:
    async with running_envoy(behind, transport) as gateway:
        yield gateway


async def test_a_call_is_reserved_for_and_settled(envoy: Gateway, behind: Guarded) -> None:
    answer = await envoy.as_client(client_token(team="ranking", project="search")).chat()
    assert (answer.status, answer.body["usage"]) == (200, USAGE)
    told = budget_headers(behind.models.last.headers)
    assert {**told, **budget_headers(answer.headers)} == told  # the client is told the same
    assert (told["x-budget-action"], told["x-budget-tier"], told["x-budget-model"]) == ("allow", "normal", "gpt-4o")
    assert (told["x-budget-binding"], told["x-budget-remaining-usd"]) == ("company-day", "0.05")
    assert behind.models.last.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert (await behind.enforcer.day())["reserved_usd"] == told["x-budget-estimate-usd"]

    used = await behind.enforcer.settle(
        told["x-budget-reservation"], input_tokens=USAGE["prompt_tokens"], output_tokens=USAGE["completion_tokens"]
    )
    await behind.aggregator.advance()
    for scope in ("org:acme", "org:acme/user:alice", "org:acme/project:search/team:ranking"):
        day = await behind.enforcer.day(scope, after=position_of(used))
        assert (day["settled_usd"], day["reserved_usd"]) == ("0.0001425", "0.00")


async def test_a_call_beyond_a_budget_reaches_nobody(envoy: Gateway, behind: Guarded) -> None:
    answer = await envoy.as_client(client_token(sub="bob")).chat()
    assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
    assert "Retry-After" not in answer.headers
    assert answer.headers["Content-Type"].startswith("application/json")
    error = answer.body["error"]
    assert (error["type"], error["code"], error["reason"]) == (
        "budget_exceeded",
        "insufficient_quota",
        "budget_exceeded",
    )
    assert answer.body["decision"] == answer.headers["x-budget-decision"]
    assert answer.body["remedies"]
    assert "budgets" not in answer.body
    assert "x-budget-reservation" not in answer.headers
    assert behind.models.calls == []


async def test_what_clients_say_of_budgets_is_not_believed(envoy: Gateway, behind: Guarded) -> None:
    assert (await envoy.chat(HOSTILE)).status == 200
    told = budget_headers(behind.models.last.headers)
    assert (told["x-budget-user"], told["x-budget-model"]) == ("alice", "gpt-4o")
    assert told["x-budget-reservation"].startswith("rsv-enforcer-")
    assert not {"x-budget-organization", "x-budget-input-tokens", "x-budget-tag-feature"} & told.keys()
    assert (await behind.enforcer.day("org:acme/user:carol"))["reserved_usd"] == "0.00"
    assert (await envoy.chat({"x_budget_user": "carol"})).status == 400


async def test_without_a_cap_the_upstream_is_told_which_was_reserved_for(envoy: Gateway, behind: Guarded) -> None:
    assert (await envoy.chat(max_tokens=None)).status == 200
    assert behind.models.last.headers["x-budget-max-output-tokens"] == "1024"


async def test_a_compressed_call_is_read_too(envoy: Gateway, behind: Guarded) -> None:
    body = gzip.compress(b'{"model":"gpt-4o","max_tokens":7,"messages":[]}')
    answer = await envoy.post("/v1/chat/completions", body, {"Content-Encoding": "gzip"})
    assert (answer.status, behind.models.last.body["max_tokens"]) == (200, 7)
    bomb = gzip.compress(b'{"model":"' + bytes(2 << 20) + b'"}')
    assert (await envoy.post("/v1/chat/completions", bomb, {"Content-Encoding": "gzip"})).status == 413
    assert (await envoy.post("/v1/chat/completions", body, {"Content-Encoding": "br"})).status == 415


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"{", 400, "not valid JSON"),
        (b'{"messages":[]}', 422, "model"),
        (b'{"model":"gpt-4o-mini","messages":[],"model":"gpt-4o"}', 422, "twice"),
        (b'{"model":"gpt-4o","messages":[],"n":4}', 422, "several completions"),
        (b'{"model":"gpt-4o","messages":[],"max_tokens":"1"}', 422, "whole number"),
        (b'{"model":"gpt-4o","messages":"' + b"x" * (1 << 20) + b'"}', 413, "larger than"),
    ],
)
async def test_a_request_that_cannot_be_priced_reaches_nobody(
    envoy: Gateway, behind: Guarded, body: bytes, status: int, says: str
) -> None:
    answer = await envoy.post("/v1/chat/completions", body)
    assert (answer.status, says in answer.body["error"]["message"]) == (status, True), answer
    assert behind.models.calls == []


async def test_only_calls_of_clients_with_a_key_are_asked_about(envoy: Gateway, behind: Guarded) -> None:
    assert (await envoy.as_client("sk-somebody").chat()).status == 401
    assert (await envoy.get("/v1/models")).status == 200
    assert (await envoy.get("/v1/files")).status == 404
    assert [call.path for call in behind.models.calls] == ["/v1/models"]


@pytest.mark.parametrize("fail_open", [False, True])
async def test_without_an_enforcer_it_fails_as_it_was_told(behind: Guarded, transport: str, fail_open: bool) -> None:
    async with (
        hanging() as deaf,
        asyncio.timeout(20),
    ):
        for port in (free_port(), deaf):
            variables = {"FAIL_OPEN": str(fail_open).lower(), "ENFORCER_PORT": str(port), "TIMEOUT": "0.5s"}
            async with running_envoy(behind, transport, **variables) as envoy:
                async with asyncio.timeout(3):
                    answer = await envoy.chat(HOSTILE)
                assert answer.status == (200 if fail_open else 503)
                assert "x-budget-reservation" not in answer.headers
    passed = [budget_headers(call.headers) for call in behind.models.calls]
    assert passed == ([{"x-budget-user": "alice"}] * 2 if fail_open else [])


async def test_what_is_decided_holds_where_failures_go_through(behind: Guarded, transport: str) -> None:
    await hold_answers(behind)
    async with running_envoy(behind, transport, FAIL_OPEN="true") as envoy:
        answer = await envoy.chat()
    assert (answer.status, answer.headers["Retry-After"]) == ({"http": 429, "grpc": 503}[transport], "1")
    assert (answer.body["error"]["type"], answer.body["error"]["reason"]) == ("budget_state_unknown", "state_unknown")
    assert behind.models.calls == []


async def test_a_gateway_without_a_good_key_lets_nothing_through(behind: Guarded, transport: str) -> None:
    async with running_envoy(behind, transport, FAIL_OPEN="true", EDGE_KEY=behind.keys.viewer) as envoy:
        answer = await envoy.chat()
    assert (answer.status, answer.body["error"]["code"]) == (403, "role_not_allowed")
    assert behind.models.calls == []


async def test_the_openai_client_gives_up_at_once_on_a_denial(envoy: Gateway, behind: Guarded) -> None:
    async with openai.AsyncOpenAI(base_url=f"{envoy.url}/v1", api_key=client_token(sub="bob"), max_retries=5) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(
                model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "Good day!"}]
            )
    assert (refused.value.code, refused.value.type) == ("insufficient_quota", "budget_exceeded")
    assert await denials(behind) == 1
    assert behind.models.calls == []


async def test_the_openai_client_comes_again_when_it_is_told_to(envoy: Gateway, behind: Guarded) -> None:
    await assert_waits_as_told(envoy, behind, client_token(sub="dave"))
