"""What the methods of the RPC read and answer, besides what HTTP knows too."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.rpc import CallId
from services.core.ask import Ask
from services.core.decision import LedgerPosition
from services.enforcer.desk import WAIT_MS_DEFAULT, WAIT_MS_MAX


class CheckCall(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A `schemas.rpc.Call` of a check whose input is counted, read at once with its body."""

    id: CallId
    method: Literal["check"]
    body: Ask


class StatusAsk(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The body of a status: which scope, and the ledger position to wait for."""

    scope: str
    after: LedgerPosition | None = None
    wait_ms: Annotated[int, Meta(ge=0, le=WAIT_MS_MAX)] = WAIT_MS_DEFAULT


class Pong(Struct, frozen=True, gc=False):
    """The answer to a ping: who is there, and whether it knows every balance."""

    enforcer: str
    restored: bool


class Nothing(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A body without fields."""
