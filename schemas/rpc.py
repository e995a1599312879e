"""The wire of the RPC, for both of its ends: frames, calls, answers, and the words that open a connection."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

VERSION: Final = 1
HELLO_BYTES_MAX: Final = 4_096
"""Nobody is trusted with more before the key is known."""
ANSWER_BYTES_MAX: Final = 16 << 20
ENVELOPE_BYTES: Final = 256
"""What a call may be larger than its body."""

Method = Literal["hello", "check", "settle", "release", "status", "ping"]
CallId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
ABOUT_THE_CONNECTION: Final = 0
"""The id of an answer that no call asked for: why the connection ends."""
_EMPTY: Final = msgspec.Raw(b"\x80")


class Call(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What a client sends. The body is read by its method."""

    id: CallId
    method: str
    body: msgspec.Raw = _EMPTY


class Answer(Struct, frozen=True, gc=False):
    """What comes back, in any order; `status` is that of HTTP. The body is the result, or `{"error": {...}}`."""

    id: int
    status: int
    body: msgspec.Raw


class Hello(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The body of the first call of a connection."""

    version: int
    key: str


class Welcome(Struct, frozen=True, gc=False):
    """The answer to it: who answers, for whom, and how large a frame it reads."""

    version: int
    enforcer: str
    role: str
    organization: str
    frame_bytes_max: int
