"""What is sent to one channel now: each by itself, together as a digest, or later because that would be too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

HOUR_MS: Final = 3_600_000
TOGETHER_MAX: Final = 200
"""So many notices one message tells of."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that is due to a channel."""

    id: str
    at_most: int | None
    together: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """One message: the deliveries that it tells of. `id` is its idempotency key."""

    id: str
    deliveries: tuple[str, ...]


def bundle(waiting: Sequence[Waiting], sent_ms: Sequence[int], now_ms: int) -> list[Bundle]:
    """The messages to be sent now to one channel, given when it was sent one before. Nothing waits for ever.

    While there is room for all of them within the hour, each goes by itself, but those that are to go together.
    When the room would run out, all that is left shares the last message, as far as one message may tell of it;
    what is left then, and without any room everything, waits.
    """
    bounds = [each.at_most for each in waiting if each.at_most is not None]
    room = min(bounds) - sum(now_ms - HOUR_MS < at_ms for at_ms in sent_ms) if bounds else len(waiting)
    if room <= 0:
        return []
    alone = [(each.id,) for each in waiting if not each.together]
    together = tuple(each.id for each in waiting if each.together)
    groups = alone + ([together] if together else [])
    if len(groups) > room:
        kept = groups[: room - 1]
        groups = [*kept, tuple(name for group in groups[room - 1 :] for name in group)]
    messages = [_bundle(part) for group in groups for part in _parts(group)]
    return messages[:room] if bounds else messages


def next_look_ms(sent_ms: Sequence[int], now_ms: int) -> int:
    """When there will be room again for a channel that was sent as much as it may be."""
    recent = [at_ms for at_ms in sent_ms if now_ms - HOUR_MS < at_ms]
    return min(recent) + HOUR_MS if recent else now_ms


def _parts(group: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [group[start : start + TOGETHER_MAX] for start in range(0, len(group), TOGETHER_MAX)]


def _bundle(deliveries: tuple[str, ...]) -> Bundle:
    if len(deliveries) == 1:
        return Bundle(deliveries[0], deliveries)
    digest = blake2b("\n".join(deliveries).encode(), digest_size=16).hexdigest()
    return Bundle(f"digest/{digest}", deliveries)
