"""OpenAI's own client behind a gateway that throttles, and every answer that it gets."""

from __future__ import annotations

from time import monotonic
from typing import Any

import openai

from tests.e2e.gateways import Gateway
from tests.e2e.guarded import Guarded, pace_dave


async def assert_waits_as_told(gateway: Gateway, behind: Guarded, key: str) -> None:
    """A client whose budget is paced asks again once, when it was told to, and is served. `key`: Dave's."""
    seen: list[tuple[int, str | None, float]] = []

    async def saw(answer: Any) -> None:
        seen.append((answer.status_code, answer.headers.get("retry-after-ms"), monotonic()))

    alices = await gateway.chat()
    await pace_dave(behind, alices.headers["x-budget-estimate-usd"])
    assert (await gateway.as_client(key).chat()).status == 200
    client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [saw]})
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=2, http_client=client) as dave:
        chat = await dave.chat.completions.create(
            model="gpt-4o", max_tokens=500, messages=[{"role": "user", "content": "Good day!"}]
        )
    assert chat.usage is not None
    (throttled, after_ms, at), (served, _, again_at) = seen
    assert (throttled, served) == (429, 200)
    assert after_ms is not None
    assert 0 < int(after_ms) < 5_000
    assert again_at - at >= int(after_ms) / 1000
    assert len(behind.models.calls) == 3
