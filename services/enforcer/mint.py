"""Names decisions and the reservations that they grant: one name for both, never given twice by one enforcer."""

from __future__ import annotations

from services.core.reservation import base36


class Mint:
    """The names of one enforcer. A decision is `dec-<name>`, its reservation `rsv-<name>` (see `ReservationId`)."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._serial = 0
        self._at_ms = -1
        self._prefix = ""

    def name(self, now_ms: int) -> str:
        """The next name, at this time."""
        if now_ms != self._at_ms:
            self._at_ms, self._prefix = now_ms, f"{self._identity}-{base36(now_ms)}-"
        self._serial = serial = self._serial + 1
        return self._prefix + base36(serial)
