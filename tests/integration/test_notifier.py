"""The notifier on a real broker: each alert is told once, whatever restarts, and the next ones while nobody answers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from deploy.local.process import Process
from services.adapters.clock import now_ms
from services.adapters.ending import end_tasks
from services.adapters.metrics import Metrics
from services.adapters.topics import ensure_topics
from services.notifier.book import Book
from services.notifier.health import Health
from services.notifier.outbox import Outbox
from services.notifier.reading import Reading
from services.notifier.settings import NotifierSettings
from tests.integration.aggregating import PARTITIONS, read_all
from tests.integration.notifying import acknowledge, alert, policy, put_policy, raise_alerts, running, settings_of, told
from tests.integration.sinking import eventually
from tests.notifier.receiving import Receiver, receiving


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path) -> NotifierSettings:
    return settings_of(broker, prefix, tmp_path)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def token(settings: NotifierSettings) -> dict[str, str]:
    """The header of the notifier's admin."""
    return {"Authorization": f"Bearer {(settings.data_dir.parent / 'notifier.token').read_text()}"}


async def until_told(settings: NotifierSettings, count: int, process: Process) -> None:
    """Wait until so many notifications were published."""

    async def enough() -> bool:
        return len(await told(settings)) >= count

    async def describe() -> str:
        return process.program.log.read_text(errors="replace")[-4000:]

    await eventually(enough, describe, within_s=90)


async def test_an_alert_is_told_once_and_that_is_an_event(settings: NotifierSettings, receiver: Receiver) -> None:
    await put_policy(settings, policy("acme", {"budget": "all", "notify": [receiver.url]}))
    async with running(settings) as notifier:
        await raise_alerts(settings, [alert("a"), alert("a"), alert("b")])
        await receiver.until(2)
        await until_told(settings, 2, notifier)
    async with running(settings) as notifier:  # and again from where it was
        await raise_alerts(settings, [alert("b"), alert("c")])
        await until_told(settings, 3, notifier)
    assert Counter(each.partition("/")[0] for each in receiver.taken) == {"a": 1, "b": 1, "c": 1}
    published = await told(settings)
    assert {(each.alert, each.state, each.attempts) for each in published.values()} == {
        ("a", "sent", 1),
        ("b", "sent", 1),
        ("c", "sent", 1),
    }
    assert not any(receiver.url in each.channel for each in published.values())


async def test_a_receiver_that_fails_is_tried_again_with_the_same_key_and_told_of_at_last(
    settings: NotifierSettings, receiver: Receiver
) -> None:
    receiver.script = [500, 503]
    await put_policy(settings, policy("acme", {"budget": "all", "notify": [receiver.url]}))
    async with running(settings) as notifier:
        await raise_alerts(settings, [alert("a")])
        await receiver.until(1)
        await until_told(settings, 1, notifier)
    assert len(receiver.requests) == 3
    assert len(set(receiver.keys)) == 1
    assert [each.attempts for each in (await told(settings)).values()] == [3]


async def test_what_nobody_will_ever_take_is_a_dead_letter_that_can_be_listed(
    settings: NotifierSettings, receiver: Receiver
) -> None:
    receiver.script = [410]
    await put_policy(settings, policy("acme", {"budget": "all", "notify": [receiver.url]}))
    async with running(settings) as notifier, aiohttp.ClientSession() as session:
        await raise_alerts(settings, [alert("a")])
        await until_told(settings, 1, notifier)
        url = f"{notifier.program.env['URL']}/v1/notifications?organization=acme&state=dead"
        async with session.get(url, headers=token(settings)) as answer:
            (found,) = (await answer.json())["notifications"]
        async with session.get(url) as answer:
            assert answer.status == 401
    assert (found["alert"], found["detail"]) == ("a", "answered 410")


async def test_the_next_ones_are_told_unless_somebody_answers(settings: NotifierSettings, receiver: Receiver) -> None:
    contact = {"budget": "all", "notify": [receiver.url], "escalate_after": "3s", "to": [f"{receiver.url}/boss"]}
    await put_policy(settings, policy("acme", contact))
    async with running(settings) as notifier:
        await raise_alerts(settings, [alert("answered"), alert("unanswered")])
        await acknowledge(settings, "answered")
        await receiver.until(3)
        await until_told(settings, 4, notifier)
    states = {(each.alert, each.step): each.state for each in (await told(settings)).values()}
    assert states == {
        ("answered", 0): "sent",
        ("answered", 1): "dropped",
        ("unanswered", 0): "sent",
        ("unanswered", 1): "sent",
    }


async def test_a_link_acknowledges_by_a_button_and_not_by_being_looked_at(
    settings: NotifierSettings, receiver: Receiver
) -> None:
    contact = {"budget": "all", "notify": [receiver.url], "escalate_after": "1h", "to": [f"{receiver.url}/boss"]}
    await put_policy(settings, policy("acme", contact))
    async with running(settings) as notifier, aiohttp.ClientSession() as session:
        await raise_alerts(settings, [alert("a")])
        await receiver.until(1)
        link = msgspec.json.decode(receiver.requests[0][1])["alerts"][0]["links"]["acknowledge"]
        async with session.get(link) as answer:
            page = await answer.text()
            assert answer.status == 200
        assert await read_all(settings, "ledger") == []
        found = re.search(r'name="token" value="([^"]+)"', page)
        assert found is not None
        url = link.partition("?")[0]
        async with session.post(url, data={"token": found[1], "by": ""}) as answer:
            assert answer.status == 422
        async with session.post(url, data={"token": found[1] + "x", "by": "Ada"}) as answer:
            assert answer.status == 400
        async with session.post(url, data={"token": found[1], "by": "Ada"}) as answer:
            assert answer.status == 200
        await until_told(settings, 2, notifier)
    (record,) = await read_all(settings, "ledger")
    (event,) = msgspec.json.decode(record.value)
    assert event["data"] == {"organization": "acme", "alert": "a", "by": "Ada", "note": ""}
    assert {each.step: each.state for each in (await told(settings)).values()} == {0: "sent", 1: "dropped"}


async def test_a_digest_tells_of_all_at_once_and_a_bound_is_kept(
    settings: NotifierSettings, receiver: Receiver
) -> None:
    together = {"budget": "all", "notify": [f"{receiver.url}/digest"], "digest": "5s"}
    bounded = {"budget": "all", "notify": [f"{receiver.url}/bounded"], "at_most": 2}
    await put_policy(settings, policy("acme", together, bounded))
    begin_ms = now_ms() // 5000 * 5000 - 4900  # all due at the first look: each by itself would use up the bound
    await raise_alerts(settings, [alert(f"a{number}", raised_at_ms=begin_ms + number) for number in range(5)])
    async with running(settings) as notifier:
        await until_told(settings, 10, notifier)
    sent = Counter((each.channel, each.message) for each in (await told(settings)).values())
    assert sorted(sent.values()) == [1, 4, 5]
    assert len(receiver.taken) == 3


async def test_old_alerts_and_those_without_contacts_are_told_to_nobody(
    settings: NotifierSettings, receiver: Receiver
) -> None:
    await put_policy(settings, policy("acme", {"budget": "all", "notify": [receiver.url]}))
    old_ms = now_ms() - settings.within_ms - 60_000
    await raise_alerts(
        settings, [alert("old", raised_at_ms=old_ms), alert("whose", organization="globex"), alert("new")]
    )
    async with running(settings) as notifier:
        await until_told(settings, 1, notifier)
    assert [each.partition("/")[0] for each in receiver.taken] == ["new"]


async def test_an_alert_that_comes_before_its_policy_is_told_all_the_same(settings: NotifierSettings) -> None:
    outbox, health = Outbox.open(settings.data_dir / "outbox.sqlite"), Health(Metrics(process=False))
    planned = asyncio.Event()
    reading = Reading(settings, outbox, Book(health), health, planned.set, within_ms=settings.within_ms)
    following = asyncio.create_task(reading.follow_book())
    await ensure_topics(settings, partitions=PARTITIONS)
    async with asyncio.timeout(60):
        while "policies" in health.readiness().detail["waiting_for"]:
            await asyncio.sleep(0.05)
    await end_tasks(following)  # as if what comes now came later
    await put_policy(settings, policy("acme", {"budget": "all", "notify": ["mailto:a@acme.example"]}))
    await raise_alerts(settings, [alert("a")])
    following = asyncio.create_task(reading.follow_events())
    async with asyncio.timeout(60):
        await planned.wait()
    await end_tasks(following)
    (found,) = await outbox.call(outbox.of, "acme", "waiting", 10)
    assert (found.alert, found.channel) == ("a", "mailto:a@acme.example")
    outbox.close()


async def test_operators_are_told_of_the_pipeline_once(
    broker: str, prefix: str, tmp_path: Path, receiver: Receiver
) -> None:
    settings = settings_of(broker, prefix, tmp_path, operators=receiver.url)
    firing = {
        "status": "firing",
        "fingerprint": "f00d",
        "startsAt": "2026-12-01T03:00:00Z",
        "labels": {"alertname": "SinkBehind", "severity": "critical"},
        "annotations": {"summary": "charges wait", "advice": "look at ClickHouse"},
    }
    body = {"version": "4", "alerts": [firing, {**firing, "status": "resolved"}]}
    async with running(settings) as notifier, aiohttp.ClientSession(headers=token(settings)) as session:
        url = f"{notifier.program.env['URL']}/v1/pipeline-alerts"
        for new in (1, 0):
            async with session.post(url, json=body) as answer:
                assert (answer.status, (await answer.json())["new"]) == (202, new)
        async with session.post(url, json={"alerts": [{}]}) as answer:
            assert answer.status == 422
        await receiver.until(1)
        await until_told(settings, 1, notifier)
    assert "SinkBehind: charges wait" in receiver.requests[0][1].decode()
    assert len(receiver.taken) == 1


async def test_two_notifiers_do_not_share_a_memory(settings: NotifierSettings) -> None:
    async with running(settings) as first:
        second = await asyncio.create_subprocess_exec(
            *first.program.command,
            env={**first.program.env, "SPENDGATE_PORT": "0"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await second.communicate()
    assert second.returncode == 1
    assert b"is another notifier using the same SPENDGATE_DATA_DIR" in said
