"""Explanations that one can get back: by the id of a decision, for keys of its organization, and for nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.client import Ask, AsyncClient
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import Answer, Client, Keys, make_keys, running_enforcer, slow_aggregator

NEVER_MADE = "dec-enforcer-1f0c9a2b-mie8k3x9-1"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> EnforcerSettings:
    return EnforcerSettings(
        kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path / "enforcer", sample_allows=0
    )


@pytest.fixture
async def enforcer(settings: EnforcerSettings, keys: Keys) -> AsyncIterator[Client]:
    async with slow_aggregator(settings) as aggregator, running_enforcer(settings, keys.edge) as client:
        policy = await aggregator.policy("acme", {"name": "input", "limit_usd": "1", "window": "day"})
        await client.day(after=policy)
        yield client


async def explained(enforcer: Client, decision: str, token: str) -> Answer:
    return await Client(enforcer.session, enforcer.url, token).call("GET", f"/v1/explain/{decision}")


async def test_what_was_answered_can_be_asked_for_again(enforcer: Client, keys: Keys) -> None:
    allowed = await enforcer.check(dry_run=True)
    denied = await enforcer.check(max_output_tokens=2_000_000)
    assert [allowed.status, denied.status] == [200, 429]
    for token in (keys.edge, keys.viewer, keys.admin):
        assert (await explained(enforcer, allowed.body["decision"], token)).body == allowed.body
        told = await explained(enforcer, denied.body["decision"], token)
        assert told.status == 200
        assert {"error": denied.body["error"], **told.body} == denied.body


async def test_others_decisions_cannot_be_told_from_those_that_were_never_made(enforcer: Client, keys: Keys) -> None:
    made = (await enforcer.check(dry_run=True)).body["decision"]
    hidden = await explained(enforcer, made, keys.other)
    unknown = await explained(enforcer, NEVER_MADE, keys.other)
    assert (hidden.status, hidden.body) == (404, unknown.body)
    assert unknown.body["error"]["code"] == "unknown_decision"
    assert "20000" in unknown.body["error"]["message"]
    assert "spendgate explain" in unknown.body["error"]["message"]
    assert (await explained(enforcer, made, "sg_edge_nobody")).status == 401


async def test_decisions_over_the_rpc_can_be_asked_for_over_http(
    settings: EnforcerSettings, keys: Keys, tmp_path: Path
) -> None:
    socket = tmp_path / "enforcer.sock"
    with_rpc = settings.model_copy(update={"rpc_socket": socket})
    async with slow_aggregator(settings), running_enforcer(with_rpc, keys.edge) as enforcer:
        async with AsyncClient(f"unix://{socket}", keys.edge, on_unavailable="closed") as asking:
            made = await asking.check(Ask(organization="acme", model="gpt-4o", input_tokens=10, max_output_tokens=10))
        told = await explained(enforcer, made.decision, keys.viewer)
        assert made.reservation is not None
        assert told.body["reservation"]["id"] == made.reservation.id
