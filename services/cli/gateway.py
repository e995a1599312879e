"""A gateway that replays a trace: asks before each call and settles after it, or reports afterwards in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import Any, TypeVar

import msgspec

from services.adapters.clock import now_ms
from services.cli.api import AWAY, Api, Refused
from services.cli.cast import Request
from services.cli.freshness import Freshness
from services.cli.messages import ask_of, event_of, usage_of
from services.cli.pace import Pace
from services.cli.tally import Tally

T = TypeVar("T")

BATCH_EVENTS = 200
LINGER_S = 0.25
RETRY_FIRST_S = 0.05
RETRY_LONGEST_S = 1.0
GIVE_UP_S = 60.0

_encode_lines = msgspec.json.Encoder().encode_lines


@dataclass(frozen=True, slots=True)
class Manners:
    """How a gateway behaves. `run` makes its event ids its own; every `resend_every`th batch is sent twice."""

    run: str
    afterwards: str | None
    in_flight: int = 256
    resend_every: int = 0
    give_up_s: float = GIVE_UP_S

    @property
    def source(self) -> str:
        """The CloudEvents source of what it reports."""
        return f"spendgate/replay/{self.run}"


class Gateway:
    """Plays requests one after the other as they are due, at most `in_flight` at a time; `tally` tells how it goes.

    Calls are repeated with the same ids until they are answered or `give_up_s` has passed: settling and reporting twice
    counts once. Raises nothing for a single request: what failed is in the tally.
    """

    def __init__(self, api: Api, tally: Tally, pace: Pace, manners: Manners, freshness: Freshness) -> None:
        self._api, self._tally, self._pace, self._manners = api, tally, pace, manners
        self._freshness = freshness
        self._slots = asyncio.Semaphore(manners.in_flight)
        self._waiting: list[Request] = []
        self._batches = 0

    async def play(self, requests: Sequence[Request]) -> None:
        """Play them all, and wait until the fate of each is known."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as tasks:
            flusher = tasks.create_task(self._flush_regularly(tasks))
            for request in requests:
                await asyncio.sleep(max(0.0, started + self._pace.due_s(request.row) - loop.time()))
                await self._begin(request, tasks)
            flusher.cancel()
            self._flush(tasks)
        await self._freshness.finish()

    async def _begin(self, request: Request, tasks: asyncio.TaskGroup) -> None:
        self._tally.sent += 1
        if request.project == self._manners.afterwards:
            self._waiting.append(request)
            if len(self._waiting) >= BATCH_EVENTS:
                self._flush(tasks)
            return
        await self._slots.acquire()
        tasks.create_task(self._call(request)).add_done_callback(lambda _: self._slots.release())

    async def _call(self, request: Request) -> None:
        ask = ask_of(request)
        started = perf_counter_ns()
        decision = await self._insist(lambda: self._api.check(ask))
        if decision is None:
            self._tally.failed += 1
            return
        self._tally.check_ns.append(perf_counter_ns() - started)
        if decision["action"] in ("deny", "throttle"):
            self._refuse(decision)
            return
        if decision["action"] == "fallback":
            self._tally.fell_back += 1
            request = replace(request, provider=decision.get("provider"), model=decision["model"])
        self._tally.allowed += 1
        self._tally.warned += bool(decision["warnings"])
        await asyncio.sleep(self._pace.call_s(request.row))
        await self._settle(request, decision["reservation"]["id"])

    def _refuse(self, decision: dict[str, Any]) -> None:
        """A throttled request is not sent either: a trace has no time to wait and come again."""
        if decision["action"] == "throttle":
            self._tally.throttled += 1
        else:
            self._tally.denied += 1
        self._tally.last_refused = decision["decision"]
        binding = next((line["budget"] for line in decision["budgets"] if line["binding"]), decision["reason"])
        self._tally.refusals[binding] += 1

    async def _settle(self, request: Request, reservation: str) -> None:
        usage = msgspec.to_builtins(usage_of(request, reservation))
        sent_ns = perf_counter_ns()
        receipt = await self._insist(lambda: self._api.settle(usage))
        if receipt is None:
            self._tally.failed += 1
            return
        self._tally.admitted.append(request)
        self._tally.spooled += receipt.get("durability") == "spool"
        self._freshness.sample(request, receipt["positions"], sent_ns)

    async def _flush_regularly(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await asyncio.sleep(LINGER_S)
            self._flush(tasks)

    def _flush(self, tasks: asyncio.TaskGroup) -> None:
        if self._waiting:
            batch, self._waiting = self._waiting, []
            tasks.create_task(self._report(batch))

    async def _report(self, batch: Sequence[Request]) -> None:
        at_ms = now_ms()
        lines = _encode_lines([event_of(request, self._manners.source, at_ms) for request in batch])
        sent_ns = perf_counter_ns()
        self._batches += 1
        twice = self._manners.resend_every and self._batches % self._manners.resend_every == 0
        receipt = await self._insist(lambda: self._api.report(lines))
        if receipt is not None and twice:
            self._tally.resent += len(batch)
            await self._insist(lambda: self._api.report(lines))
        if receipt is None:
            self._tally.failed += len(batch)
            return
        fates = {event["id"]: event for event in receipt["events"] if event["fate"] != "accepted"}
        self._tally.rejected += len(fates)
        self._tally.failures.update(str(fate.get("reason")) for fate in fates.values())
        accepted = [request for request in batch if request.name not in fates]
        self._tally.admitted += accepted
        self._tally.reported += len(accepted)
        self._tally.spooled += len(accepted) * (receipt.get("durability") == "spool")
        self._freshness.sample(batch[0], receipt["positions"], sent_ns)

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat until answered; None, with the reason in the tally, when refused or out of patience."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._manners.give_up_s
        pause = RETRY_FIRST_S
        while True:
            try:
                return await call()
            except (Refused, *AWAY) as error:
                final = isinstance(error, Refused) and error.status < 500
                if final or loop.time() + pause > deadline:
                    self._tally.failures[str(error) or type(error).__name__] += 1
                    return None
            self._tally.retries += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_LONGEST_S)
