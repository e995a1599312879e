"""When a message that was not taken is tried again: ever later, spread out, and not for ever."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

ATTEMPTS_MAX: Final = 16
FIRST_MS: Final = 2_000
LONGEST_MS: Final = 2 * 3_600_000


def retry_after_ms(message: str, attempts: int, asked_ms: int | None = None) -> int | None:
    """How long to wait after so many attempts; None: it is given up. What the receiver asked for is the least.

    Doubles each time, and falls anywhere in the upper half of that (equal jitter, Brooker 2015): by a digest of the
    message instead of chance, so that the same history leads to the same waits.
    """
    assert attempts > 0, "there is nothing to try again before the first attempt"
    if attempts >= ATTEMPTS_MAX:
        return None
    longest = min(LONGEST_MS, FIRST_MS << (attempts - 1))
    spread = int.from_bytes(blake2b(f"{message}/{attempts}".encode(), digest_size=4).digest(), "big")
    waited = longest // 2 + spread % (longest // 2)
    return max(waited, min(asked_ms or 0, LONGEST_MS))
