"""Which sender a channel is for."""

from __future__ import annotations

from services.notifier.chat import Chats
from services.notifier.letter import Letter
from services.notifier.mail import Mails
from services.notifier.taken import NotTaken, Outcome
from services.notifier.webhook import Webhooks


class Senders:
    """Webhooks, e-mail and chats."""

    def __init__(self, webhooks: Webhooks, mails: Mails, chats: Chats) -> None:
        self._webhooks, self._mails, self._chats = webhooks, mails, chats

    async def send(self, channel: str, letter: Letter) -> Outcome:
        """One attempt to tell a channel."""
        scheme = channel.partition(":")[0]
        if self._chats.takes(channel):
            return await self._chats.send(channel, letter)
        if scheme in ("http", "https"):
            return await self._webhooks.send(channel, letter)
        if scheme == "mailto":
            return await self._mails.send(channel, letter)
        return NotTaken(f"{scheme} is not a kind of channel that is allowed here", for_good=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._webhooks.close()
