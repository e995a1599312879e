"""The whole plan for one notice, made once: who is told first, and who is told when while nobody answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from services.core.event_id import event_id
from services.core.notifying.contacts import Contact, concerned
from services.core.notifying.notice import Notice

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice to be told to a channel at an instant; with a `step` above 0 only if nobody has answered by then.

    `id` follows from notice, channel and step. `at_most`: messages to the channel within an hour.
    """

    id: str
    notice: str
    channel: str
    step: int
    due_ms: int
    at_most: int | None
    together: bool
    """Whether it goes in one message with whatever else is due to the channel."""


def plan(notice: Notice, contacts: Sequence[Contact]) -> list[Delivery]:
    """What a notice leads to if nobody answers. A channel that several contacts name is told once, at the earliest."""
    found: dict[str, Delivery] = {}
    for contact in concerned(contacts, notice):
        for delivery in _of(contact, notice):
            known = found.get(delivery.channel)
            if known is None or (delivery.step, delivery.due_ms) < (known.step, known.due_ms):
                found[delivery.channel] = delivery
    return list(found.values())


def _of(contact: Contact, notice: Notice) -> Iterator[Delivery]:
    begin_ms = contact.waits_until_ms(notice.severity, notice.raised_at_ms)
    steps = [(0, channel) for channel in contact.first] + list(enumerate(contact.then, start=1))
    for step, channel in steps:
        due_ms = contact.waits_until_ms(notice.severity, begin_ms + step * contact.patience_ms) if step else begin_ms
        yield Delivery(
            id=delivery_id(notice.id, channel, step),
            notice=notice.id,
            channel=channel,
            step=step,
            due_ms=due_ms,
            at_most=contact.at_most,
            together=contact.digest_ms is not None,
        )


def delivery_id(notice_id: str, channel: str, step: int) -> str:
    """The name of a delivery, which says nothing of the channel's secrets."""
    digest = blake2b(channel.encode(), digest_size=8).hexdigest()
    return event_id(notice_id, after=f"/to/{digest}/{step}")
