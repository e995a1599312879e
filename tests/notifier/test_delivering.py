"""What the outbox and whoever empties it do when a message cannot go: nobody is forgotten, nothing spins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.adapters.metrics import Metrics
from services.core.notifying import Bundle, Delivery
from services.notifier.chat import Chats
from services.notifier.delivering import Delivering
from services.notifier.health import Health
from services.notifier.mail import Mails
from services.notifier.outbox import Outbox
from services.notifier.senders import Senders
from services.notifier.webhook import Webhooks
from tests.notifier.letters import NOW_MS, SIGNER, notice, writer
from tests.notifier.receiving import receiving


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox.open(tmp_path / "notifier.sqlite")
    yield opened
    opened.close()


def delivery(name: str, url: str, due_ms: int = NOW_MS) -> Delivery:
    """The only delivery of the notice of that name."""
    return Delivery(f"{name}/to", name, url, 0, due_ms, None, together=False)


async def tried(outbox: Outbox) -> dict[str, int]:
    """How often each delivery was tried."""
    return {each.notification: each.attempts for each in await outbox.call(outbox.of, "acme", None, 9)}


def test_what_was_looked_at_already_does_not_come_due_again(outbox: Outbox) -> None:
    with outbox.step({}):
        outbox.plan(notice("now"), [delivery("now", "https://a.example")])
        outbox.plan(notice("later"), [delivery("later", "https://a.example", NOW_MS + 7_000)])
    assert outbox.next_due_ms(NOW_MS - 1) == NOW_MS
    assert outbox.next_due_ms(NOW_MS) == NOW_MS + 7_000
    assert outbox.next_due_ms(NOW_MS + 7_000) is None, "what waits for room wakes nobody many times a second"


async def test_what_cannot_be_written_is_counted_as_an_attempt_and_holds_up_nobody(outbox: Outbox) -> None:
    senders = Senders(
        Webhooks(SIGNER, timeout_s=5, allow_private=True),
        Mails(None, "a@example.com", timeout_s=1),
        Chats(timeout_s=1),
    )
    delivering = Delivering(outbox, writer(), senders, Health(Metrics()), at_once=2, remember_ms=1 << 50)
    async with receiving() as receiver:
        with outbox.step({}):
            outbox.plan(replace(notice("bad"), scope="no scope"), [delivery("bad", receiver.url)])
            outbox.plan(notice("good"), [delivery("good", receiver.url)])
        running = asyncio.create_task(delivering.run())
        await receiver.until(1)
        async with asyncio.timeout(60):
            while not (attempts := await tried(outbox))["bad/to"]:
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        await delivering.drain(5)
        await senders.close()
    assert receiver.taken == ["good/to"]
    assert attempts["bad/to"] == 1


def test_one_channel_with_many_messages_holds_up_no_other(outbox: Outbox) -> None:
    flood = [f"flood-{number}" for number in range(40)]
    with outbox.step({}):
        for name in flood:
            outbox.plan(notice(name), [delivery(name, "https://hangs.example", NOW_MS - 9)])
        outbox.put("https://hangs.example", [Bundle(f"{name}/to", (f"{name}/to",)) for name in flood], NOW_MS - 9)
        outbox.plan(notice("one"), [delivery("one", "https://b.example")])
        outbox.put("https://b.example", [Bundle("one/to", ("one/to",))], NOW_MS)
    assert "one/to" in [each.id for each in outbox.open_messages(NOW_MS, 2)]
    busy = [f"{name}/to" for name in flood[:16]]
    assert [each.id for each in outbox.open_messages(NOW_MS, 1, busy)] == ["one/to"]


def test_what_waits_for_room_hides_nothing_that_waits_for_another_channel(outbox: Outbox) -> None:
    with outbox.step({}):
        for name in ("first", "second", "third"):
            outbox.plan(notice(name), [delivery(name, "https://a.example", NOW_MS - 9)])
        outbox.plan(notice("one"), [delivery("one", "https://b.example")])
    found = outbox.due(NOW_MS, most=2)
    assert {channel: len(waiting) for (_, channel), waiting in found.items()} == {
        "https://a.example": 2,
        "https://b.example": 1,
    }
