"""What comes of one attempt to tell somebody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.notifier.letter import Letter


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver has it."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """It has not, as far as anybody knows. `for_good`: trying again would not help. `after_ms`: what it asked for."""

    detail: str
    for_good: bool = False
    after_ms: int | None = None


Outcome = Taken | NotTaken


class Sender(Protocol):
    """Tells one kind of channel. Never raises for what a receiver does."""

    async def send(self, channel: str, letter: Letter) -> Outcome:
        """One attempt."""
        ...
