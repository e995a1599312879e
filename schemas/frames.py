"""Frames of the RPC: a length and a payload, cut from a stream of bytes however it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

HEADER_BYTES: Final = 4


class FrameError(Exception):
    """Bytes that are no frame: nothing after them can be understood. `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Frames:
    """Cuts a stream of bytes into frames of up to `bytes_max`."""

    __slots__ = ("_at", "_data", "bytes_max")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self._data = b""
        self._at = 0

    def add(self, data: bytes) -> None:
        """More of the stream has arrived."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def take(self) -> bytes | None:
        """The next frame; None when more must arrive first. Raises `FrameError` for one that is empty or too large."""
        data, start = self._data, self._at + HEADER_BYTES
        if start > len(data):
            return None
        size = data[start - 4] << 24 | data[start - 3] << 16 | data[start - 2] << 8 | data[start - 1]
        if not 0 < size <= self.bytes_max:
            raise FrameError("frame_too_large" if size else "empty_frame", _of_size(size, self.bytes_max))
        end = start + size
        if end > len(data):
            return None
        self._at = end
        return data[start:end]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are complete with this data; what was not iterated over is kept. Raises as `take` does."""
        self.add(data)
        while (frame := self.take()) is not None:
            yield frame

    @property
    def waiting(self) -> int:
        """How many bytes wait for the rest of their frame."""
        return len(self._data) - self._at


def framed(payload: bytes) -> bytes:
    """A payload as one frame."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def _of_size(size: int, bytes_max: int) -> str:
    return f"a frame is from 1 to {bytes_max} bytes long, and this one claims {size}"
