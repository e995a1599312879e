"""Why a call brought no result."""

from __future__ import annotations


class ClientError(Exception):
    """Whatever this package raises. `code` is made for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(ClientError):
    """No enforcer answered, or the one that did cannot work now: `timeout`, `restoring` and so on."""


class Refused(ClientError):
    """The enforcer will not do this, now or later: the call, the key or the reservation is wrong.

    `status` is that of HTTP, `field` the part of the body at fault.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(code, message)
        self.status, self.field = status, field


class NothingReserved(ClientError):
    """A decision that holds no reservation: its usage is to be reported to ingest instead."""

    def __init__(self) -> None:
        super().__init__("nothing_reserved", "the decision holds no reservation: report its usage to ingest")


class LinkLost(Exception):
    """The connection ended before the answer came. Only this package sees it."""
