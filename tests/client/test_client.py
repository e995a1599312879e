"""Answers find their calls, lost ones are made up for, and an enforcer that misbehaves costs its timeout at most."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.client import Ask, AsyncClient, Backoff, NothingReserved, OnUnavailable, Refused, Unavailable, Usage
from services.client.address import Address
from services.client.errors import LinkLost
from services.client.link import Link
from tests.client.scripted import Peer, decided, scripted

QUICK = Backoff(first_s=0.01, max_s=0.02)
KEY = "sg_edge_x"


def ask(number: int = 1) -> Ask:
    return Ask(organization="acme", model="gpt-4o", input_tokens=number)


def client(address: str, on_unavailable: OnUnavailable = "closed", **more: Any) -> AsyncClient:
    return AsyncClient(address, KEY, on_unavailable=on_unavailable, **{"backoff": QUICK, "timeout_s": 5.0, **more})


async def test_answers_out_of_order_find_their_calls(tmp_path: Path) -> None:
    async def shuffle(peer: Peer) -> None:
        await peer.greet()
        calls = [await peer.hear() for _ in range(50)]
        Random(3).shuffle(calls)
        for call in calls:
            peer.answer(call, decided(call))

    async with scripted(tmp_path / "s", shuffle) as address, client(address) as asking:
        decisions = await asyncio.gather(*[asking.check(ask(number)) for number in range(50)])
    assert [decision.decision for decision in decisions] == [f"dec-{number}" for number in range(50)]
    assert all(decision.allowed and not decision.unavailable for decision in decisions)


async def test_no_more_calls_are_in_flight_than_told(tmp_path: Path) -> None:
    at_once: list[int] = []

    async def hold_back(peer: Peer) -> None:
        await peer.greet()
        while True:
            calls = [await peer.hear()]
            try:
                while True:
                    calls.append(await asyncio.wait_for(peer.hear(), 0.3))
            except TimeoutError:
                at_once.append(len(calls))
            for call in calls:
                peer.answer(call, decided(call))

    async with scripted(tmp_path / "s", hold_back) as address, client(address, in_flight_max=4) as asking:
        assert all(d.allowed for d in await asyncio.gather(*[asking.check(ask()) for _ in range(10)]))
        assert at_once == [4, 4, 2]
    async with scripted(tmp_path / "t", hold_back) as address, client(address, in_flight_max=1) as asking:
        first = asyncio.create_task(asking.check(ask()))
        await asyncio.sleep(0)
        refused = await asking.check(ask(), timeout_s=0.01)
        assert (refused.unavailable, refused.message.split(":")[0]) == (True, "too_many_in_flight")
        assert (await first).allowed


@pytest.mark.parametrize(("mode", "allowed"), [("open", True), ("closed", False)])
async def test_a_check_without_an_answer_opens_or_closes_as_told(
    tmp_path: Path, mode: OnUnavailable, allowed: bool
) -> None:
    async def silent(peer: Peer) -> None:
        await peer.greet()
        await peer.reader.read()

    async with scripted(tmp_path / "s", silent) as address, client(address, mode, timeout_s=0.5) as asking:
        decision = await asking.check(ask())
        assert (decision.allowed, decision.unavailable, decision.reservation) == (allowed, True, None)
        assert decision.message.startswith("timeout")
        with pytest.raises(NothingReserved):
            await asking.settle(decision, Usage(input_tokens=1, output_tokens=1))
        with pytest.raises(Unavailable) as caught:
            await asking.ping()
        assert caught.value.code in ("timeout", "connection_lost")  # the silent connection is given up meanwhile


@pytest.mark.parametrize("spoiled", [struct.pack(">I", 2**31), struct.pack(">I", 1) + b"\xc1", b"HTTP/1.1 400 Bad\r\n"])
async def test_an_answer_that_is_none_is_a_lost_connection(tmp_path: Path, spoiled: bytes) -> None:
    async def spoil(peer: Peer) -> None:
        await peer.greet()
        await peer.hear()
        peer.writer.write(spoiled)
        await peer.reader.read()

    async with scripted(tmp_path / "s", spoil) as address, client(address, "open") as asking:
        decision = await asking.check(ask())
        assert (decision.allowed, decision.unavailable) == (True, True)
        assert decision.message.startswith("connection_lost")


async def test_a_lost_check_is_not_repeated_and_a_lost_settlement_is(tmp_path: Path) -> None:
    heard: list[str] = []

    async def drop_first_of_each(peer: Peer) -> None:
        await peer.greet()
        call = await peer.hear()
        heard.append(call["method"])
        if heard.count(call["method"]) > 1:
            body = {"reservation": "rsv-1", "organization": "acme", "overrun_usd": "0.00", "durability": "kafka"}
            peer.answer(call, body)
            await peer.reader.read()

    async with scripted(tmp_path / "s", drop_first_of_each) as address, client(address) as asking:
        assert (await asking.check(ask())).unavailable
        assert (await asking.settle("rsv-1", Usage(input_tokens=1, output_tokens=1))).durability == "kafka"
    assert heard == ["check", "settle", "settle"]


async def test_a_goodbye_moves_new_calls_to_a_new_connection_and_waits_for_the_old_ones(tmp_path: Path) -> None:
    connections: list[Peer] = []

    async def move(peer: Peer) -> None:
        connections.append(peer)
        await peer.greet()
        if len(connections) > 1:
            call = await peer.hear()
            peer.answer(call, decided(call, "rsv-new"))
            await peer.reader.read()
            return
        served, refused = await peer.hear(), await peer.hear()
        peer.refuse(0, 503, "draining")
        peer.refuse(refused, 503, "draining")  # it came after the goodbye was written: nothing was done
        peer.answer(served, decided(served, "rsv-old"))
        assert await peer.reader.read() == b""  # the client closes

    async with scripted(tmp_path / "s", move) as address, client(address) as asking:
        old, new = await asyncio.gather(asking.check(ask(1)), asking.check(ask(2)))
        assert old.reservation is not None
        assert new.reservation is not None
        assert (old.reservation.id, new.reservation.id) == ("rsv-old", "rsv-new")


@pytest.mark.parametrize("how", ["timeout", "cancelled"])
async def test_what_is_reserved_for_nobody_is_released(tmp_path: Path, how: str) -> None:
    released: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(peer: Peer) -> None:
        await peer.greet()
        call = await peer.hear()
        asked.set()
        await answer.wait()
        peer.answer(call, decided(call, "rsv-late"))
        while (call := await peer.hear())["method"] != "release":
            peer.answer(call, {})
        released.set_result(call["body"]["reservation"])

    async with scripted(tmp_path / "s", late) as address, client(address) as asking:
        task = asyncio.create_task(asking.check(ask(), timeout_s=1.0 if how == "timeout" else 60.0))
        await asked.wait()
        if how == "cancelled":
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError) or outcome.unavailable  # type: ignore[union-attr]
        answer.set()
        assert await asyncio.wait_for(released, 5.0) == "rsv-late"


async def test_a_connection_that_has_gone_silent_is_given_up(tmp_path: Path) -> None:
    connections: list[Peer] = []

    async def first_is_dead(peer: Peer) -> None:
        connections.append(peer)
        await peer.greet()
        while len(connections) > 1:
            call = await peer.hear()
            peer.answer(call, decided(call))
        await peer.reader.read()

    async with scripted(tmp_path / "s", first_is_dead) as address, client(address, timeout_s=0.5) as asking:
        decisions = [await asking.check(ask())]
        while decisions[-1].unavailable:
            await asyncio.sleep(0.01)
            decisions.append(await asking.check(ask()))
    assert decisions[0].message.startswith("timeout")
    assert len(connections) == 2


async def test_a_connection_may_be_lost_in_the_turn_in_which_a_call_times_out(tmp_path: Path) -> None:
    async def silent(peer: Peer) -> None:
        await peer.reader.read()

    loop, failures = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: failures.append(context))
    try:
        async with scripted(tmp_path / "s", silent) as address:
            link = await Address.parse(address).dial(Link)
            calling = asyncio.create_task(link.call("ping", {}, 0.0))
            await asyncio.sleep(0)
            loop.call_soon(link.connection_lost, None)
            with pytest.raises(LinkLost):
                await calling
            link.close()
    finally:
        loop.set_exception_handler(None)
    assert failures == []


@pytest.mark.parametrize("mode", ["open", "closed"])
async def test_a_refusal_is_never_taken_for_absence(tmp_path: Path, mode: OnUnavailable) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.greet()
        while True:
            peer.answer(
                await peer.hear(), {"error": {"code": "other_organization", "message": "no", "field": "f"}}, 403
            )

    async def reject(peer: Peer) -> None:
        peer.refuse(await peer.hear(), 401, "invalid_api_key")

    async with scripted(tmp_path / "s", refuse) as address, client(address, mode) as asking:
        with pytest.raises(Refused) as caught:
            await asking.check(ask())
        assert (caught.value.status, caught.value.code, caught.value.field) == (403, "other_organization", "f")
    async with scripted(tmp_path / "t", reject) as address, client(address, mode) as asking:
        for _ in range(3):
            with pytest.raises(Refused, match="invalid_api_key"):
                await asking.check(ask())


async def test_an_enforcer_that_cannot_decide_counts_as_absent(tmp_path: Path) -> None:
    async def restoring(peer: Peer) -> None:
        await peer.greet()
        while True:
            peer.refuse(await peer.hear(), 503, "restoring")

    async with scripted(tmp_path / "s", restoring) as address, client(address, "open") as asking:
        decision = await asking.check(ask())
        assert (decision.allowed, decision.unavailable, decision.message) == (True, True, "restoring: restoring")


async def test_a_settlement_waits_out_what_passes(tmp_path: Path) -> None:
    async def slow_start(peer: Peer) -> None:
        await peer.greet()
        peer.refuse(await peer.hear(), 503, "restoring")
        peer.refuse(await peer.hear(), 503, "ledger_unavailable")
        peer.answer(await peer.hear(), {"reservation": "rsv-1", "organization": "acme", "overrun_usd": "0.00"})
        peer.refuse(await peer.hear(), 500, "internal")
        await peer.reader.read()

    async with scripted(tmp_path / "s", slow_start) as address, client(address) as asking:
        assert (await asking.settle("rsv-1", Usage())).reservation == "rsv-1"
        with pytest.raises(Unavailable, match="internal"):
            await asking.settle("rsv-1", Usage())


async def test_nobody_there_is_told_at_once(tmp_path: Path) -> None:
    slow = Backoff(first_s=60.0, max_s=60.0)
    async with client(f"unix://{tmp_path}/nobody", "open", timeout_s=60.0, backoff=slow) as asking:
        async with asyncio.timeout(10.0):  # far less than a call may take
            assert all([(await asking.check(ask())).unavailable for _ in range(100)])
        with pytest.raises(Unavailable, match="no connection"):
            await asking.settle("rsv-1", Usage(), timeout_s=0.05)


def test_waiting_grows_to_its_limit() -> None:
    backoff = Backoff(first_s=0.1, max_s=1.0)
    assert backoff.after(0) == 0.0
    for failures, longest in ((1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (10_000, 1.0)):
        assert all(longest / 2 <= backoff.after(failures) <= longest for _ in range(50))


@pytest.mark.parametrize(
    "text", ["", "/run/x", "unix://", "unix://host/x", "tcp://host", "tcp://:1", "tcp://h:1/x", "http://h:1"]
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        Address.parse(text)


def test_addresses_are_read() -> None:
    assert Address.parse("unix:///run/x.sock") == Address(path="/run/x.sock")
    assert Address.parse("tcp://10.0.0.1:7070") == Address(host="10.0.0.1", port=7070)
    assert Address.parse("tls://[::1]:7070").tls is not None
