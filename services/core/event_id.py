"""Names of events that follow from what they are about: the same in every replay, and short enough to be an id."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

ID_CHARACTERS_MAX: Final = 256


def event_id(key: str, *, before: str = "", after: str = "") -> str:
    """`before`, the key and `after`, which are short; a key that is too long gives way to its digest."""
    name = f"{before}{key}{after}"
    if len(name) <= ID_CHARACTERS_MAX:
        return name
    return f"{before}{blake2b(key.encode(), digest_size=16).hexdigest()}{after}"
