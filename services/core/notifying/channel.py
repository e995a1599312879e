"""A channel's address as people may see it: addresses of chats and webhooks hold the key to them."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

DIGEST_BYTES: Final = 5
OPEN: Final = frozenset({"mailto", "mailtos"})
"""Schemes whose addresses say nothing but whom they reach."""


def redacted(channel: str) -> str:
    """Kind and host, and a digest that tells two such channels apart; an e-mail address is told as it is."""
    scheme, _, rest = channel.partition(":")
    if scheme in OPEN:
        return f"{scheme}:{rest.lstrip('/')}"[:256]
    digest = blake2b(channel.encode(), digest_size=DIGEST_BYTES).hexdigest()
    host = _host(channel) if scheme in ("http", "https") else ""
    return f"{scheme}://{host}#{digest}" if host else f"{scheme}#{digest}"


def _host(channel: str) -> str:
    try:
        return (urlsplit(channel).hostname or "")[:200]
    except ValueError:
        return ""
