"""The RPC answers what HTTP answers: the same decisions, the same refusals, for the same keys."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.local.ports import free_port
from services.enforcer.rpc.unix import SocketPathError, listen
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import Client, Keys, SlowAggregator, make_keys, running_enforcer, slow_aggregator
from tests.integration.rpc import Wire, wire

ASK: dict[str, Any] = {"organization": "acme", "model": "gpt-4o", "input_tokens": 1000, "max_output_tokens": 2000}
USED = {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 100}
UNPACED = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
DAY = {"name": "company-day", "limit_usd": "0.05", "window": "day", "tiers": UNPACED}


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> EnforcerSettings:
    return EnforcerSettings(
        kafka=broker,
        topic_prefix=prefix,
        keys_file=keys.path,
        data_dir=tmp_path / "enforcer",
        append_timeout_s=30.0,
        rpc_socket=tmp_path / "rpc.sock",
        rpc_port=free_port(),
    )


@pytest.fixture
def path(settings: EnforcerSettings) -> Path:
    assert settings.rpc_socket is not None
    return settings.rpc_socket


@pytest.fixture
async def aggregator(settings: EnforcerSettings) -> AsyncIterator[SlowAggregator]:
    async with slow_aggregator(settings) as found:
        yield found


@pytest.fixture
async def enforcer(settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator) -> AsyncIterator[Client]:
    policy = await aggregator.policy("acme", DAY)
    async with running_enforcer(settings, keys.edge) as client:
        await client.day(after=policy)
        yield client


@pytest.fixture
async def edge(enforcer: Client, path: Path, keys: Keys) -> AsyncIterator[Wire]:
    assert enforcer.url
    async with wire(path, keys.edge) as found:
        yield found


def timeless(body: Any) -> Any:
    """A body of either transport without what is new in every answer: ids and moments. All else must be the same."""
    new = ("id", "decision", "decided_at", "expires_at", "as_of", "ledger", "stale_ms")
    builtins = msgspec.to_builtins(body)
    if isinstance(builtins, dict):
        return {name: timeless(value) for name, value in builtins.items() if name not in new}
    return [timeless(value) for value in builtins] if isinstance(builtins, list) else builtins


async def test_decisions_are_those_of_http(enforcer: Client, edge: Wire) -> None:
    asks = [
        {**ASK, "dry_run": True, "project": "search", "tags": {"feature": "x"}},
        {**ASK, "dry_run": True, "max_output_tokens": 1_000_000},
        {**ASK, "model": "nobody-knows-it"},
        {"organization": "acme", "model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "dry_run": True},
    ]
    for ask in asks:
        over_http = await enforcer.post("/v1/check", ask)
        status, body = await edge.call("check", ask)
        assert status == over_http.status == 200
        assert timeless(body) == timeless(over_http.body)
        assert isinstance(body["decided_at"], datetime)


async def test_a_denial_is_an_answer_and_has_the_body_of_http_without_its_error(enforcer: Client, edge: Wire) -> None:
    too_much = {**ASK, "max_output_tokens": 1_000_000}
    over_http = await enforcer.post("/v1/check", too_much)
    status, body = await edge.call("check", too_much)
    assert (over_http.status, status, body["action"]) == (429, 200, "deny")
    assert timeless(body) == timeless({name: value for name, value in over_http.body.items() if name != "error"})


async def test_refusals_are_those_of_http(enforcer: Client, edge: Wire) -> None:
    cases = [
        ("check", {**ASK, "input_tokens": -1}),
        ("check", {**ASK, "input_tokens": 1.5}),
        ("check", {**ASK, "tags": {"t": "v" * 600}}),
        ("check", {**ASK, "max_tokens": 5}),
        ("check", {**ASK, "organization": "other"}),
        ("check", []),
        ("settle", {"reservation": "rsv-a-1-1", **USED}),
        ("settle", {"reservation": "rsv-a-1-1", **USED, "organization": "other", "gen_ai.request.model": "gpt-4o"}),
        ("settle", {"reservation": "rsv-a-1-1", "cost_usd": "NaN"}),
        ("release", {"reservation": "rsv-a-1-1"}),
    ]
    for method, body in cases:
        over_http = await enforcer.call("POST", f"/v1/{method}", msgspec.json.encode(body))
        assert await edge.call(method, body) == (over_http.status, over_http.body), (method, body)
        assert over_http.status >= 400


async def test_both_transports_share_one_state(enforcer: Client, edge: Wire, aggregator: SlowAggregator) -> None:
    reservation = await enforcer.reserve()
    status, body = await edge.call("settle", {"reservation": reservation, **USED})
    assert (status, body["state"], body["cost_usd"], body["repeated"]) == (200, "settled", "0.0035", False)
    assert (await enforcer.settle(reservation)).body["repeated"]
    await aggregator.advance()
    _, decision = await edge.call("check", ASK)
    held = decision["reservation"]["id"]
    assert (await enforcer.day())["reserved_usd"] == "0.0225"
    assert (await edge.call("release", {"reservation": held}))[1] == {"reservation": held, "state": "released"}
    assert (await enforcer.day())["reserved_usd"] == "0.00"
    assert (await enforcer.settle(held)).status == 200


async def test_status_waits_for_a_ledger_position(enforcer: Client, edge: Wire, aggregator: SlowAggregator) -> None:
    settled = (await edge.call("settle", {"reservation": await enforcer.reserve(), **USED}))[1]
    asked = {"scope": "org:acme", "after": settled["positions"][0], "wait_ms": 10}
    assert not (await edge.call("status", asked))[1]["reached"]
    waiting = edge.send("status", {**asked, "wait_ms": 20_000})
    assert (await edge.call("ping", {}))[0] == 200  # it does not hold up the calls behind it
    await aggregator.advance()
    answer = await edge.hear()
    assert (answer["id"], answer["body"]["reached"]) == (waiting, True)
    over_http = await enforcer.call("GET", "/v1/status/org:acme")
    assert timeless(answer["body"]) == timeless(over_http.body)


async def test_calls_are_pipelined_and_answers_find_their_calls(edge: Wire) -> None:
    decisions = {edge.send("check", {**ASK, "input_tokens": 1, "max_output_tokens": 1}): "check" for _ in range(300)}
    answers = [await edge.hear() for _ in decisions]
    assert {answer["id"] for answer in answers} == set(decisions)
    held = [answer["body"]["reservation"]["id"] for answer in answers]
    assert len(set(held)) == 300
    settling = {edge.send("settle", {"reservation": name, **USED}): name for name in held}
    alive = edge.send("ping", {})
    order = [await edge.hear() for _ in range(301)]
    assert order[0]["id"] == alive  # overtakes those that wait for the ledger
    assert {answer["id"]: answer["body"]["reservation"] for answer in order[1:]} == settling


async def test_a_key_may_do_what_it_may_over_http(enforcer: Client, path: Path, keys: Keys) -> None:
    reservation = await enforcer.reserve()
    async with wire(path, keys.other) as other:
        for method, body in (
            ("check", ASK),
            ("settle", {"reservation": reservation, **USED}),
            ("release", {"reservation": reservation}),
            ("status", {"scope": "org:acme"}),
        ):
            status, answer = await other.call(method, body)
            assert (status, answer["error"]["code"]) == (403, "other_organization"), method
        assert (await other.call("check", {**ASK, "organization": "other"}))[0] == 200
    async with wire(path, keys.viewer) as viewer:
        assert (await viewer.call("check", ASK))[1]["error"]["code"] == "role_not_allowed"
        assert (await viewer.call("settle", {"reservation": reservation}))[0] == 403
        assert (await viewer.call("status", {"scope": "org:acme"}))[0] == 200
    async with wire(path, keys.admin) as admin:
        assert (await admin.call("release", {"reservation": reservation}))[0] == 200


@pytest.mark.usefixtures("enforcer")
async def test_tcp_serves_the_same(settings: EnforcerSettings, keys: Keys) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.rpc_port)
    found = Wire(reader, writer)
    status, welcome = await found.call("hello", {"version": 1, "key": keys.edge})
    assert (status, welcome["version"], welcome["role"], welcome["organization"]) == (200, 1, "edge", "acme")
    assert welcome["frame_bytes_max"] > settings.max_body_bytes
    assert (await found.call("check", ASK))[1]["action"] == "allow"
    writer.close()


async def test_calls_are_counted(enforcer: Client, edge: Wire) -> None:
    await edge.call("check", ASK)
    await edge.call("check", {})
    await edge.call("nonsense", {})
    async with enforcer.session.get(f"{enforcer.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    assert 'spendgate_rpc_requests_total{method="check",status="200"} 1.0' in lines
    assert 'spendgate_rpc_requests_total{method="check",status="422"} 1.0' in lines
    assert 'spendgate_rpc_requests_total{method="unknown",status="404"} 1.0' in lines
    assert 'spendgate_rpc_request_seconds_count{method="check"} 2.0' in lines
    assert "spendgate_rpc_connections 1.0" in lines


@pytest.mark.usefixtures("aggregator")
async def test_the_socket_is_its_owners_and_is_gone_afterwards(
    settings: EnforcerSettings, keys: Keys, path: Path
) -> None:
    async with running_enforcer(settings, keys.edge):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(SocketPathError, match="another process listens"):
            listen(path)
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rpc.sock"
    listen(path).close()
    assert path.is_socket()
    with listen(path):
        assert path.is_socket()
    precious = tmp_path / "file"
    precious.write_text("mine")
    with pytest.raises(SocketPathError, match="no socket"):
        listen(precious)
    assert precious.read_text() == "mine"
    with pytest.raises(SocketPathError, match="longer than 107"):
        listen(tmp_path / ("x" * 108))
