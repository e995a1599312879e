"""Reservation ids carry the time of the reservation: it says in which windows the money was set aside."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

ENFORCER_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
"""What an enforcer may be called inside an id."""

_ID = re.compile(rf"rsv-({ENFORCER_NAME.pattern})-(0|[1-9a-z][0-9a-z]{{0,8}})-(0|[1-9a-z][0-9a-z]{{0,11}})", re.ASCII)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


class ReservationId(NamedTuple):
    """Who reserved, when (UTC milliseconds), and a number that tells apart what one enforcer reserved."""

    enforcer: str
    reserved_at_ms: int
    serial: int

    def __str__(self) -> str:
        return f"rsv-{self.enforcer}-{base36(self.reserved_at_ms)}-{base36(self.serial)}"

    @classmethod
    def parse(cls, text: str) -> ReservationId | None:
        """The id that `text` writes; None for what is not exactly as `str` writes one."""
        match = _ID.fullmatch(text)
        if match is None:
            return None
        enforcer, reserved_at, serial = match.groups()
        return cls(enforcer, int(reserved_at, 36), int(serial, 36))


def base36(number: int) -> str:
    """A natural number in the digits 0-9a-z."""
    text = ""
    while number >= 36:
        number, pair = divmod(number, 1296)
        text = _PAIRS[pair] + text
    if number:
        return _DIGITS[number] + text
    return text.removeprefix("0") or "0"
