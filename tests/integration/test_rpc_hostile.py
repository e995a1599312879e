"""Whatever is sent to the RPC, the answer is a clear refusal, and nobody else notices."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import Client, Keys, make_keys, running_enforcer, slow_aggregator
from tests.integration.rpc import Wire, wire

ASK: dict[str, Any] = {"organization": "acme", "model": "gpt-4o", "input_tokens": 1, "max_output_tokens": 1}
FLOOD_MAX = 1_000
"""Far more than all buffers hold: 20 MB of pings."""
encode = msgspec.msgpack.encode


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rpc.sock"


@pytest.fixture
async def enforcer(broker: str, prefix: str, tmp_path: Path, keys: Keys, path: Path) -> AsyncIterator[Client]:
    settings = EnforcerSettings(
        kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer", rpc_socket=path
    )
    async with slow_aggregator(settings), running_enforcer(settings, keys.edge) as client:
        yield client


@pytest.fixture
async def edge(enforcer: Client, path: Path, keys: Keys) -> AsyncIterator[Wire]:
    assert enforcer.url
    async with wire(path, keys.edge) as found:
        yield found


async def refused(found: Wire, status: int, code: str, call_id: int = 0) -> None:
    """The next answer is this refusal, and the last."""
    answer = await found.hear()
    assert (answer["id"], answer["status"], answer["body"]["error"]["code"]) == (call_id, status, code)
    assert answer["body"]["error"]["message"]
    assert await found.is_closed()


@pytest.mark.parametrize(
    ("hello", "status", "code"),
    [
        ({"id": 1, "method": "check", "body": ASK}, 401, "hello_expected"),
        ({"id": 1, "method": "hello", "body": {"version": 1, "key": "sg_edge_" + "A" * 43}}, 401, "invalid_api_key"),
        ({"id": 1, "method": "hello", "body": {"version": 1, "key": ""}}, 401, "invalid_api_key"),
        ({"id": 1, "method": "hello", "body": {"version": 2, "key": "sg"}}, 400, "unsupported_version"),
        ({"id": 1, "method": "hello", "body": {}}, 422, "invalid_field"),
        ({"id": 1, "method": "hello", "body": 7}, 422, "invalid_field"),
    ],
)
async def test_without_a_good_hello_nothing_is_answered(
    enforcer: Client, path: Path, hello: dict[str, Any], status: int, code: str
) -> None:
    async with wire(path) as found:
        found.write(encode(hello))
        found.send("check", ASK)  # behind it, in the same breath
        await refused(found, status, code, 1)
    assert (await enforcer.call("GET", "/v1/position")).body["reservations"] == 0


@pytest.mark.usefixtures("enforcer")
async def test_a_stranger_cannot_make_the_enforcer_hold_much(path: Path) -> None:
    async with wire(path) as found:
        found.writer.write(struct.pack(">I", 4097))
        await refused(found, 400, "frame_too_large")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (struct.pack(">I", 2**32 - 1), "frame_too_large"),
        (struct.pack(">I", 0), "empty_frame"),
        (b"GET /v1/check HTTP/1.1\r\nHost: x\r\n\r\n", "frame_too_large"),
        (struct.pack(">I", 3) + b"\xc1\xc1\xc1", "invalid_call"),
        (struct.pack(">I", 3) + b"\x93\x01\x02", "invalid_call"),
        (struct.pack(">I", 1) + b"\x80", "invalid_call"),
        (struct.pack(">I", 5000) + b"\x91" * 5000, "invalid_call"),
    ],
)
async def test_what_is_no_frame_ends_the_connection_and_no_other(
    enforcer: Client, edge: Wire, path: Path, keys: Keys, sent: bytes, code: str
) -> None:
    async with wire(path, keys.edge) as bystander:
        before = edge.send("ping", {})
        edge.writer.write(sent)
        edge.send("ping", {})
        assert (await edge.hear())["id"] == before
        await refused(edge, 400, code)
        assert (await bystander.call("check", ASK))[0] == 200
    async with enforcer.session.get(f"{enforcer.url}/metrics") as response:
        assert f'spendgate_rpc_refused_connections_total{{code="{code}"}} 1.0' in await response.text()


@pytest.mark.parametrize(
    "call",
    [
        {"id": 0, "method": "ping"},
        {"id": -1, "method": "ping"},
        {"id": 2**63, "method": "ping"},
        {"id": "1", "method": "ping"},
        {"id": 1, "method": b"ping"},
        {"id": 1, "method": "ping", "more": 1},
        {"id": 1},
        {"method": "ping"},
    ],
)
async def test_a_call_of_another_shape_ends_the_connection(edge: Wire, call: dict[str, Any]) -> None:
    edge.write(encode(call))
    await refused(edge, 400, "invalid_call")


async def test_a_bad_body_is_refused_and_the_connection_goes_on(edge: Wire) -> None:
    cases: list[tuple[str, bytes, int, str]] = [
        ("check", b"\xa1\xff", 422, "invalid_field"),
        ("check", encode({**ASK, "organization": b"acme"}), 422, "invalid_field"),
        ("check", encode(ASK).replace(b"acme", b"ac\xffe"), 400, "invalid_msgpack"),
        ("check", encode({**ASK, "input_tokens": 2**63}), 422, "invalid_field"),
        ("status", encode({"scope": "org:acme", "wait_ms": 30_001}), 422, "invalid_field"),
        ("status", encode({"scope": "project:x"}), 422, "invalid_scope"),
        ("status", encode({"scope": "::"}), 422, "invalid_scope"),
        ("ping", encode({"x": 1}), 422, "invalid_field"),
        ("hello", encode({"version": 1, "key": "x"}), 404, "no_such_method"),
        ("position", encode({}), 404, "no_such_method"),
    ]
    for method, body, status, code in cases:
        found, answer = await edge.call(method, msgspec.Raw(body))
        assert (found, answer["error"]["code"]) == (status, code), (method, body)
    assert (await edge.call("check", ASK))[0] == 200


async def test_garbage_of_every_kind_leaves_the_enforcer_standing(enforcer: Client, path: Path, keys: Keys) -> None:
    random = Random(7)
    good = encode({"id": 1, "method": "check", "body": ASK})
    for _ in range(200):
        spoiled = bytearray(good)
        for _ in range(random.randrange(1, 8)):
            spoiled[random.randrange(len(spoiled))] = random.randrange(256)
        async with wire(path, keys.edge) as found:
            found.write(bytes(spoiled))
            assert (await found.hear())["status"] in (200, 400, 403, 404, 422)
    async with enforcer.session.get(f"{enforcer.url}/metrics") as response:
        assert "spendgate_rpc_failures_total 0.0" in await response.text()


async def test_a_client_that_leaves_in_the_middle_of_a_frame_is_forgotten(
    enforcer: Client, path: Path, keys: Keys
) -> None:
    async with wire(path, keys.edge) as found:
        found.writer.write(struct.pack(">I", 100) + b"x" * 50)
        await found.writer.drain()
    while True:
        async with enforcer.session.get(f"{enforcer.url}/metrics") as response:
            text = await response.text()
        if "spendgate_rpc_connections 0.0" in text:
            break
    assert 'spendgate_rpc_refused_connections_total{code="truncated_frame"} 1.0' in text


async def test_a_client_that_does_not_read_is_not_read_either(enforcer: Client, path: Path, keys: Keys) -> None:
    flood = struct.pack(">I", len(ping := encode({"id": 1, "method": "ping"}))) + ping
    async with wire(path, keys.edge) as found, wire(path, keys.edge) as bystander:
        with pytest.raises(TimeoutError):
            for _ in range(FLOOD_MAX):
                found.writer.write(flood * 1000)
                await asyncio.wait_for(found.writer.drain(), 1.0)
        assert (await bystander.call("ping", {}))[0] == 200
    assert (await enforcer.check()).status == 200
