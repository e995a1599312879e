"""The wire of the RPC, for both of its ends: frames, calls, answers, and the words that open a connection."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

VERSION: Final = 1
HEADER: Final = struct.Struct(">I")
HEADER_BYTES: Final = HEADER.size
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


class FrameError(Exception):
    """Bytes that are no frame: nothing after them can be understood. `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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


class Frames:
    """Cuts a stream of bytes into frames, however they arrive."""

    __slots__ = ("_buffer", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The frames that are complete with this data; the rest waits for more.

        What was fed and not yet iterated over is kept when the iteration is given up. Raises `FrameError` at a frame
        that is empty or larger than `bytes_max`.
        """
        if self._buffer:
            data = self._buffer + data
        view, start, end = memoryview(data), 0, len(data)
        try:
            while end - start >= HEADER_BYTES:
                (size,) = HEADER.unpack_from(data, start)
                if not 0 < size <= self.bytes_max:
                    raise FrameError("frame_too_large" if size else "empty_frame", _of_size(size, self.bytes_max))
                after = start + HEADER_BYTES + size
                if after > end:
                    break
                frame = view[start + HEADER_BYTES : after]
                start = after
                yield frame
        finally:
            self._buffer = data[start:]

    @property
    def waiting(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._buffer)


def framed(payload: bytes) -> bytes:
    """A payload as one frame."""
    return HEADER.pack(len(payload)) + payload


def _of_size(size: int, bytes_max: int) -> str:
    return f"a frame is from 1 to {bytes_max} bytes long, and this one claims {size}"
