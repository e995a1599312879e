"""A small server with the manners of a model API, and what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from deploy.local.ports import free_port

USAGE: Mapping[str, int] = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reached the models."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(slots=True)
class Models:
    """Answers every chat with the same words, and remembers it."""

    port: int = field(default_factory=free_port)
    calls: list[Call] = field(default_factory=list)

    @property
    def last(self) -> Call:
        """The request that came last."""
        return self.calls[-1]

    async def complete(self, request: web.Request) -> web.Response:
        """A chat completion in OpenAI's shape."""
        body = await request.json()
        self.calls.append(Call(request.path, dict(request.headers), body))
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Good day."}}
        answer = {
            "id": f"chatcmpl-{len(self.calls)}",
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": body["model"],
            "choices": [choice],
            "usage": USAGE,
        }
        return web.json_response(answer)

    async def list(self, request: web.Request) -> web.Response:
        """The models that there are."""
        self.calls.append(Call(request.path, dict(request.headers), {}))
        return web.json_response({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})


@asynccontextmanager
async def running_models() -> AsyncIterator[Models]:
    """Serve models on loopback."""
    models = Models()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", models.complete)
    app.router.add_get("/v1/models", models.list)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", models.port).start()
    try:
        yield models
    finally:
        await runner.cleanup()
