"""A letter to send, and what writes one."""

from __future__ import annotations

from services.core.notifying import Notice
from services.notifier.letter import Letter, Writer
from services.notifier.outbox import Message
from services.notifier.signing import Signer

NOW_MS = 1_795_525_500_000
SIGNER = Signer(b"x" * 32)


def notice(name: str = "all/org:acme@month:2026-11/9000", organization: str = "acme") -> Notice:
    """A budget that has reached nine tenths."""
    facts = {
        "budget": "all",
        "scope": "org:acme/project:search",
        "window": "month:2026-11",
        "threshold": "0.9",
        "settled_usd": "45000",
        "limit_usd": "50000",
    }
    return Notice(
        id=name,
        organization=organization,
        kind="threshold",
        severity="warning",
        scope="org:acme/project:search",
        budget="all",
        raised_at_ms=NOW_MS,
        facts=facts,
    )


def writer() -> Writer:
    """One who knows both addresses, and that Ada answers for every budget."""
    return Writer(
        SIGNER,
        lambda *_: None,
        lambda *_: ["Ada <script>"],
        console_url="https://console.example/",
        own_url="https://notify.example",
    )


def letter(*notices: Notice, step: int = 0) -> Letter:
    """A letter about these, or about one."""
    message = Message("key-1", "https://hooks.example/SECRET", 0, step, notices or (notice(),))
    return writer().write(message, NOW_MS)
