"""A real nginx in front of a model API: an enforcer decides each call before it goes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import openai
import pytest

from deploy.local.ports import free_port
from services.core.tokens import bytes_bound
from tests.e2e.gateways import HOSTILE, UPSTREAM_KEY, Gateway, budget_headers, running_nginx
from tests.e2e.guarded import Guarded, denials, hanging, hold_answers
from tests.e2e.models import USAGE
from tests.e2e.throttled import assert_waits_as_told

BOB = "key-of-bob"


@pytest.fixture
async def nginx(behind: Guarded) -> AsyncIterator[Gateway]:
    async with running_nginx(behind) as gateway:
        yield gateway


async def test_a_call_is_reserved_for_by_its_size(nginx: Gateway, behind: Guarded) -> None:
    body = b'{"model":"gpt-4o","max_tokens":9,"messages":[{"role":"user","content":"Good day!"}]}'
    answer = await nginx.post("/v1/chat/completions", body, HOSTILE)
    assert (answer.status, answer.body["usage"]) == (200, USAGE)
    told = budget_headers(behind.models.last.headers)
    assert budget_headers(answer.headers).items() <= told.items()
    assert (told["x-budget-action"], told["x-budget-model"], told["x-budget-binding"]) == (
        "allow",
        "gpt-4o",
        "company-day",
    )
    assert (told["x-budget-user"], told["x-budget-project"]) == ("alice", "search")
    assert told["x-budget-max-output-tokens"] == "1024"
    assert not {"x-budget-organization", "x-budget-input-tokens"} & told.keys()
    assert behind.models.last.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert behind.models.last.path == "/v1/chat/completions"
    nanousd = bytes_bound(len(body)) * 2_500 + 1_024 * 10_000
    assert told["x-budget-estimate-usd"] == f"{nanousd / 1e9:.9f}".rstrip("0")
    assert (await behind.enforcer.day("org:acme/user:alice"))["reserved_usd"] == told["x-budget-estimate-usd"]
    settled = await behind.enforcer.settle(told["x-budget-reservation"], input_tokens=9, output_tokens=12)
    assert settled.body["cost_usd"] == "0.0001425"


async def test_a_call_beyond_a_budget_is_429_and_reaches_nobody(nginx: Gateway, behind: Guarded) -> None:
    answer = await nginx.as_client(BOB).chat()
    assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
    assert "Retry-After" not in answer.headers
    assert answer.headers["Content-Type"].startswith("application/json")
    error = answer.body["error"]
    assert (error["type"], error["code"]) == ("budget_exceeded", "insufficient_quota")
    assert answer.body["decision"] == answer.headers["x-budget-decision"]
    assert answer.body["remedies"]
    assert behind.models.calls == []


async def test_a_body_of_unknown_length_reaches_nobody(nginx: Gateway, behind: Guarded) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"model":"gpt-4o","messages":[]}'

    sent = {"Authorization": f"Bearer {nginx.token}"}
    async with nginx.session.post(f"{nginx.url}/v1/chat/completions", data=chunks(), headers=sent) as response:
        found = await response.json()
    assert (response.status, found["error"]["code"]) == (411, "length_required")
    assert behind.models.calls == []


async def test_only_calls_of_clients_with_a_key_are_asked_about(nginx: Gateway, behind: Guarded) -> None:
    assert (await nginx.as_client("sk-somebody").chat()).status == 401
    assert (await nginx.post("/v1/embeddings", b"{}")).status == 404
    assert behind.models.calls == []
    outside = replace(nginx, url=nginx.url.removesuffix("/gpt-4o"))
    assert (await outside.get("/v1/models")).status == 200
    assert (await outside.as_client("sk-somebody").get("/v1/models")).status == 401
    assert (await outside.chat()).status == 404
    assert (await outside.get("/_budget")).status == 404
    assert [call.path for call in behind.models.calls] == ["/v1/models"]


async def test_a_long_call_is_denied_by_its_length_and_passed_on_whole(nginx: Gateway, behind: Guarded) -> None:
    assert (await nginx.chat(messages=[{"role": "user", "content": "x" * 20_000}])).status == 429
    short = [{"role": "user", "content": "x" * 9_000}]
    assert (await nginx.chat(messages=short)).status == 200
    assert [call.body["messages"] for call in behind.models.calls] == [short]


@pytest.mark.parametrize("fail_open", [False, True])
async def test_without_an_enforcer_it_fails_as_it_was_told(behind: Guarded, fail_open: bool) -> None:
    on_failure = "@unchecked" if fail_open else "@unavailable"
    async with hanging() as deaf:
        for number, port in enumerate((free_port(), deaf)):
            variables = {"ON_FAILURE": on_failure, "ENFORCER": f"127.0.0.1:{port}", "TIMEOUT": "500ms"}
            async with running_nginx(behind, **variables) as nginx:
                async with asyncio.timeout(3):
                    answer = await nginx.chat(HOSTILE)
                assert answer.status == (200 if fail_open else 503), number
                assert "x-budget-reservation" not in answer.headers
    unchecked = {
        "x-budget-action": "unchecked",
        "x-budget-user": "alice",
        "x-budget-project": "search",
        "x-budget-max-output-tokens": "1024",
    }
    passed = [budget_headers(call.headers) for call in behind.models.calls]
    assert passed == ([unchecked] * 2 if fail_open else [])


async def test_what_is_decided_holds_where_failures_go_through(behind: Guarded) -> None:
    await hold_answers(behind)
    async with running_nginx(behind, ON_FAILURE="@unchecked") as nginx:
        answer = await nginx.chat()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (answer.body["error"]["type"], answer.body["error"]["reason"]) == ("budget_state_unknown", "state_unknown")
    assert behind.models.calls == []


async def test_a_gateway_without_a_good_key_lets_nothing_through(behind: Guarded) -> None:
    for key in (behind.keys.viewer, "sg_edge_nobodys"):
        async with running_nginx(behind, ON_FAILURE="@unchecked", EDGE_KEY=key) as nginx:
            answer = await nginx.chat()
        assert (answer.status, answer.body["error"]["code"]) == (500, "gateway_key_refused")
    assert behind.models.calls == []


async def test_the_openai_client_gives_up_at_once_on_a_denial(nginx: Gateway, behind: Guarded) -> None:
    async with openai.AsyncOpenAI(base_url=f"{nginx.url}/v1", api_key=BOB, max_retries=5) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(
                model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "Good day!"}]
            )
    assert (refused.value.code, refused.value.type) == ("insufficient_quota", "budget_exceeded")
    assert await denials(behind) == 1
    assert behind.models.calls == []


async def test_the_openai_client_comes_again_when_it_is_told_to(nginx: Gateway, behind: Guarded) -> None:
    await assert_waits_as_told(nginx, behind, "key-of-dave")
