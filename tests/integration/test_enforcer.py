"""An enforcer on a real broker: what is reserved, settled and expired is never forgotten, and never counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.ports import free_port
from services.adapters.clock import now_ms
from services.adapters.kafka import partition_for
from services.core.reservation import ReservationId
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import (
    PARTITIONS,
    Client,
    Keys,
    SlowAggregator,
    make_keys,
    position_of,
    running_enforcer,
    slow_aggregator,
)

UNPACED = {"soft": "0.8", "throttle": "1.0", "hard": "1.0"}
DAY = {"name": "company-day", "limit_usd": "0.05", "window": "day", "tiers": UNPACED}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
USED: dict[str, Any] = {"organization": "acme", "gen_ai.request.model": "gpt-4o"}


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
        append_timeout_s=30.0,  # however slow Kafka is here, nothing goes to the spool
    )


@pytest.fixture
async def aggregator(settings: EnforcerSettings) -> AsyncIterator[SlowAggregator]:
    async with slow_aggregator(settings) as found:
        yield found


@pytest.fixture
async def enforcer(settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator) -> AsyncIterator[Client]:
    policy = await aggregator.policy("acme", DAY)
    async with running_enforcer(settings, keys.edge) as client:
        await client.day(after=policy)  # the broker may have answered the commit before it is to be read
        yield client


def figures(day: dict[str, Any]) -> tuple[str, str, str]:
    return day["settled_usd"], day["pending_usd"], day["reserved_usd"]


async def test_money_is_reserved_then_pending_then_settled_and_never_counted_twice(
    enforcer: Client, aggregator: SlowAggregator
) -> None:
    reservation = await enforcer.reserve()
    assert figures(await enforcer.day()) == ("0.00", "0.00", "0.0225")
    settled = await enforcer.settle(reservation)
    assert (settled.status, settled.body["durability"], settled.body["cost_usd"]) == (200, "kafka", "0.0035")
    assert figures(await enforcer.day()) == ("0.0035", "0.0035", "0.00")
    await aggregator.advance()
    day = await enforcer.day(after=position_of(settled))
    assert figures(day) == ("0.0035", "0.00", "0.00")
    assert day["requests"] == 1


async def test_half_a_transaction_is_never_seen(enforcer: Client, aggregator: SlowAggregator) -> None:
    settled = await enforcer.settle(await enforcer.reserve())
    ((partition, messages),) = (await aggregator.fold_only()).items()
    *balances, position = messages["balances"]
    await aggregator.write("balances", partition, {"balances": balances})
    # A whole transaction of another partition is behind it on its way to the enforcer.
    elsewhere = next(name for name in map(str, range(99)) if partition_for(name, PARTITIONS) != partition)
    other = await aggregator.append(elsewhere, "spendgate.usage.recorded.v1", "u1", {**USED, "organization": elsewhere})
    await aggregator.advance()
    assert figures(await enforcer.day(after=other)) == ("0.0035", "0.0035", "0.00")
    await aggregator.write("balances", partition, {"balances": [position]})
    assert figures(await enforcer.day(after=position_of(settled))) == ("0.0035", "0.00", "0.00")


async def test_a_budget_is_denied_when_what_is_reserved_fills_it(enforcer: Client) -> None:
    first, second = await enforcer.check(), await enforcer.check()
    assert (first.body["action"], second.body["action"]) == ("allow", "allow")
    assert (first.body["tier"], second.body["tier"]) == ("normal", "soft")
    denied = await enforcer.check()
    assert (denied.status, denied.body["action"], denied.body["reason"]) == (429, "deny", "budget_exceeded")
    assert denied.body["error"]["code"] == "insufficient_quota"
    assert denied.headers["x-should-retry"] == "false"
    assert "Retry-After" not in denied.headers
    assert "reservation" not in denied.body
    assert [remedy.split(":")[0] for remedy in denied.body["remedies"]] == [
        "fits if max_output_tokens ≤ 250",
        "may fit once requests in flight are settled",
        "window resets at " + denied.body["budgets"][0]["window_ends_at"].split(":")[0],
    ]
    assert (await enforcer.check(max_output_tokens=250)).status == 200
    await enforcer.post("/v1/release", {"reservation": first.body["reservation"]["id"]})
    assert (await enforcer.check()).status == 200


async def test_requests_at_the_same_time_never_reserve_more_than_there_is(enforcer: Client) -> None:
    answers = await asyncio.gather(*[enforcer.check(max_output_tokens=200) for _ in range(50)])
    allowed = [answer for answer in answers if answer.status == 200]
    assert len(allowed) == 11  # 0.0045 USD each
    assert (await enforcer.day())["reserved_usd"] == "0.0495"


async def test_a_dry_run_decides_and_reserves_nothing(enforcer: Client) -> None:
    answer = await enforcer.check(dry_run=True, max_output_tokens=1_000_000)
    assert (answer.status, answer.body["action"]) == (200, "deny")
    assert (await enforcer.check(dry_run=True)).body["action"] == "allow"
    assert (await enforcer.day())["reserved_usd"] == "0.00"


async def test_settling_again_is_answered_alike_and_counted_once(enforcer: Client, aggregator: SlowAggregator) -> None:
    reservation = await enforcer.reserve()
    answers = await asyncio.gather(*[enforcer.settle(reservation) for _ in range(5)])
    assert [answer.status for answer in answers] == [200] * 5
    assert sorted(answer.body["repeated"] for answer in answers) == [False] + [True] * 4
    assert len(await aggregator.events()) == 1
    assert (await enforcer.post("/v1/release", {"reservation": reservation})).status == 409


async def test_a_release_is_not_charged_and_may_be_repeated(enforcer: Client, aggregator: SlowAggregator) -> None:
    reservation = await enforcer.reserve()
    for _ in range(2):
        assert (await enforcer.post("/v1/release", {"reservation": reservation})).body["state"] == "released"
    assert figures(await enforcer.day()) == ("0.00", "0.00", "0.00")
    assert await aggregator.events() == []


async def test_usage_after_a_release_counts_all_the_same(enforcer: Client, aggregator: SlowAggregator) -> None:
    reservation = await enforcer.reserve()
    await enforcer.post("/v1/release", {"reservation": reservation})
    settled = await enforcer.settle(reservation)
    await aggregator.advance()
    assert figures(await enforcer.day(after=position_of(settled))) == ("0.0035", "0.00", "0.00")


async def test_what_nobody_settles_is_charged_at_its_estimate_until_the_truth_arrives(
    settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator
) -> None:
    short = settings.model_copy(update={"reservation_ttl_s": 1})
    async with running_enforcer(short, keys.edge) as enforcer:
        reservation = await enforcer.reserve(project="search")
        expired: list[dict[str, Any]] = []
        while not expired:
            expired = await aggregator.events()
        assert [event["type"] for event in expired] == ["spendgate.reservation.expired.v1"]
        partition = partition_for("acme", PARTITIONS)
        day = await enforcer.day(after=(partition, aggregator.states[partition].position.offset))
        assert (figures(day), day["unconfirmed_usd"]) == (("0.0225", "0.00", "0.00"), "0.0225")
        assert (await enforcer.post("/v1/release", {"reservation": reservation})).status == 409
        settled = await enforcer.settle(reservation)
        assert figures(await enforcer.day())[0] == "0.0225"
        await aggregator.advance()
        day = await enforcer.day("org:acme/project:search", after=position_of(settled))
        assert (figures(day), day["unconfirmed_usd"]) == (("0.0035", "0.00", "0.00"), "0.00")


async def test_an_enforcer_that_was_restarted_settles_by_what_it_is_told(
    settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator
) -> None:
    async with running_enforcer(settings, keys.edge) as first:
        reservation = await first.reserve()
    async with running_enforcer(settings, keys.edge) as second:
        bare = await second.settle(reservation)
        assert (bare.status, bare.body["error"]["code"]) == (404, "unknown_reservation")
        whole = await second.settle(reservation, **USED)
        assert (whole.status, whole.body["estimate_usd"]) == (200, None)
        await aggregator.advance()
        assert figures(await second.day(after=position_of(whole))) == ("0.0035", "0.00", "0.00")


async def test_what_was_restored_is_decided_on(
    settings: EnforcerSettings, keys: Keys, aggregator: SlowAggregator
) -> None:
    await aggregator.policy("acme", DAY)
    usage = {**USED, "cost_usd": "0.04"}
    before = await aggregator.append("acme", "spendgate.usage.recorded.v1", "before", usage)
    await aggregator.advance()
    async with running_enforcer(settings, keys.edge) as enforcer:
        assert figures(await enforcer.day(after=before)) == ("0.04", "0.00", "0.00")
        assert (await enforcer.check()).status == 429


async def test_a_new_policy_sees_what_is_reserved_already(enforcer: Client, aggregator: SlowAggregator) -> None:
    await enforcer.reserve(user="alice")
    await aggregator.policy(
        "acme", DAY, {"name": "alice-week", "scope": {"user": "alice"}, "limit_usd": "0.03", "window": "week"}
    )
    while (await enforcer.check(dry_run=True)).body["policy_version"] != 2:
        pass
    denied = await enforcer.check(user="alice")
    assert denied.status == 429
    binding = next(line for line in denied.body["budgets"] if line["binding"])
    assert (binding["budget"], binding["reserved_usd"]) == ("alice-week", "0.0225")


async def test_a_policy_that_cannot_be_read_leaves_those_before_it_in_force(
    enforcer: Client, aggregator: SlowAggregator
) -> None:
    await aggregator.write("policies", 0, {"policies": [(b"acme", b"{")]})
    await aggregator.policy("acme", {**DAY, "limit_usd": "0"})
    while (answer := await enforcer.check()).body["policy_version"] != 2:
        pass
    assert answer.status == 429
    assert (await enforcer.call("GET", "/readyz")).status == 200


@pytest.mark.usefixtures("aggregator")
async def test_an_unknown_organization_is_allowed_and_told_so(settings: EnforcerSettings, keys: Keys) -> None:
    async with running_enforcer(settings, keys.admin) as enforcer:
        answer = await enforcer.check(organization="nobody")
        assert (answer.status, answer.body["reason"], answer.body["policy_version"]) == (200, "no_budget", 0)
        assert answer.body["budgets"] == []


async def test_usage_without_a_price_is_reserved_and_settled_as_unpriced(
    enforcer: Client, aggregator: SlowAggregator
) -> None:
    answer = await enforcer.check(model="nobody-knows-1")
    assert (answer.status, answer.body["estimate_usd"], answer.body["reservation"]["estimate_usd"]) == (200, None, None)
    settled = await enforcer.settle(answer.body["reservation"]["id"])
    assert settled.body["cost_usd"] is None
    await aggregator.advance()
    day = await enforcer.day(after=position_of(settled))
    assert (day["settled_usd"], day["unpriced"]) == ("0.00", 1)


async def test_an_overrun_is_told_and_counted(enforcer: Client) -> None:
    settled = await enforcer.settle(await enforcer.reserve(), output_tokens=3000)
    assert (settled.body["cost_usd"], settled.body["overrun_usd"]) == ("0.0325", "0.01")
    async with enforcer.session.get(f"{enforcer.url}/metrics") as response:
        text = await response.text()
    assert "spendgate_overruns_total 1.0" in text
    assert "spendgate_overspend_overrun_nanousd_total 1e+07" in text


async def test_usage_that_the_ledger_would_reject_leaves_the_reservation_as_it_was(enforcer: Client) -> None:
    reservation = await enforcer.reserve()
    answer = await enforcer.settle(reservation, **{"gen_ai.usage.cache_read.input_tokens": 1001})
    assert (answer.status, answer.body["error"]["code"]) == (422, "inconsistent_usage")
    assert figures(await enforcer.day()) == ("0.00", "0.00", "0.0225")


@pytest.mark.parametrize(("age_s", "reason"), [(49 * 3600, "late"), (-3600, "future")])
async def test_a_reservation_out_of_time_is_refused_with_advice(enforcer: Client, age_s: int, reason: str) -> None:
    reservation = ReservationId("other", now_ms() - age_s * 1000, 1)
    answer = await enforcer.settle(str(reservation), **USED)
    assert (answer.status, answer.body["error"]["code"]) == (422, f"reservation_{reason}")
    assert "without the reservation" in answer.body["error"]["message"]
    assert figures(await enforcer.day()) == ("0.00", "0.00", "0.00")


async def test_until_everything_is_restored_nothing_is_decided(settings: EnforcerSettings, keys: Keys) -> None:
    away = settings.model_copy(update={"kafka": f"127.0.0.1:{free_port()}", "append_timeout_s": 0.5})
    async with running_enforcer(away, keys.edge, ready=False) as enforcer:
        assert (await enforcer.call("GET", "/readyz")).status == 503
        answer = await enforcer.check()
        assert (answer.status, answer.body["error"]["code"]) == (503, "restoring")
        assert answer.headers["Retry-After"] == "1"
        assert (await enforcer.settle("rsv-a-1-1", **USED)).status == 503
        status = await enforcer.call("GET", "/v1/status/org:acme")
        assert (status.status, status.body["error"]["code"]) == (503, "restoring")
        assert (await enforcer.call("GET", "/healthz")).status == 200


async def test_a_position_is_waited_for_no_longer_than_asked(enforcer: Client) -> None:
    answer = await enforcer.call("GET", "/v1/status/org:acme?after=0:999999&wait_ms=1")
    assert (answer.status, answer.body["reached"]) == (200, False)


async def test_position_tells_how_far_the_ledger_was_applied(enforcer: Client) -> None:
    answer = await enforcer.call("GET", "/v1/position")
    assert answer.body["restored"]
    await enforcer.leased()
    answer = await enforcer.call("GET", "/v1/position")
    assert [one["partition"] for one in answer.body["partitions"]] == list(range(PARTITIONS))
    for one in answer.body["partitions"]:
        assert one["offset"] >= (one["partition"] == partition_for("acme", PARTITIONS))
        assert (one["leased"], one["enforcers"]) == (True, 1)
        assert one["beat"] >= 1
        assert 0 <= one["stale_ms"] < 60_000


async def test_a_request_may_say_what_it_will_send_instead_of_how_many_tokens_that_is(enforcer: Client) -> None:
    said: dict[str, Any] = {
        "input_tokens": None,
        "system": "Answer in one word.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Which animal is this?"}, PICTURE]},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "ask_vet"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
        ],
        "tools": [{"type": "function", "function": {"name": "ask_vet", "parameters": {"type": "object"}}}],
    }
    answer = await enforcer.check(**said)
    assert (answer.status, answer.body["estimated_from"]) == (200, "messages")
    assert 85 + 8 * 170 + 1024 < answer.body["input_tokens"] < 4000
    counted = await enforcer.check(input_tokens=answer.body["input_tokens"])
    assert counted.body["estimate_usd"] == answer.body["estimate_usd"]
    assert "estimated_from" not in counted.body
    settled = await enforcer.settle(answer.body["reservation"]["id"], input_tokens=912, output_tokens=2)
    assert settled.body["cost_usd"] == "0.0023"
    denied = await enforcer.check(**said | {"messages": [{"role": "user", "content": "cat " * 4000}]})
    assert (denied.status, denied.body["estimated_from"]) == (429, "messages")
    bound = denied.body["input_tokens"]
    assert f"may fit as it is: {bound} is a bound from its messages, send a count" in denied.body["remedies"]
    assert (await enforcer.check(input_tokens=None, input_chars=250)).body["input_tokens"] == 1000
