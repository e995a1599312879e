"""Chats and pagers, through apprise: kinds whose messages go to their maker's own servers, and no others."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import Final

import apprise

from services.notifier.letter import Letter
from services.notifier.taken import NotTaken, Outcome, Taken

SCHEMES: Final = frozenset(
    {"discord", "gchat", "opsgenie", "pagerduty", "pover", "slack", "sns", "tgram", "twilio", "workflows", "wxteams"}
)
"""What a policy may name. Others of apprise's kinds reach any host, read files or run programs."""
SLACK_WEBHOOK: Final = "https://hooks.slack.com/"
TYPES: Final = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}


class Chats:
    """Sends to everything that apprise knows and an operator allows."""

    def __init__(self, schemes: frozenset[str] = SCHEMES, *, timeout_s: float) -> None:
        self._schemes, self._timeout_s = schemes, timeout_s
        # Its log lines hold the addresses, and these the keys.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():  # of modules that its own imports use, on older Pythons
            warnings.simplefilter("ignore", DeprecationWarning)
            apprise.Apprise.instantiate(SLACK_WEBHOOK, suppress_exceptions=True)  # loads every kind

    def takes(self, channel: str) -> bool:
        """Whether a channel is for this sender."""
        return channel.startswith(SLACK_WEBHOOK) or channel.partition(":")[0] in self._schemes

    async def send(self, channel: str, letter: Letter) -> Outcome:
        """One attempt, in a thread. apprise tells only whether it worked."""
        found = await asyncio.to_thread(apprise.Apprise.instantiate, channel, suppress_exceptions=True)
        if not isinstance(found, apprise.NotifyBase):
            return NotTaken("the address is not complete: see https://appriseit.com for its kind", for_good=True)
        found.socket_connect_timeout = found.socket_read_timeout = self._timeout_s
        sent = asyncio.to_thread(
            found.notify,
            body=letter.text,
            title=letter.subject,
            notify_type=TYPES[letter.severity],
            body_format=apprise.NotifyFormat.TEXT,
        )
        try:
            worked = await asyncio.wait_for(sent, 3 * self._timeout_s)
        except TimeoutError:
            return NotTaken("no answer in time")
        except (TypeError, ValueError, OSError) as error:
            return NotTaken(f"{found.service_name} cannot be used: {type(error).__name__}")
        return Taken() if worked else NotTaken(f"{found.service_name} did not take it")
