"""Compressed bodies, both ways: HTTP content encodings as ClickHouse speaks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cramjam
from cramjam import Buffer

from deploy.local.clickhouse.errors import QueryError


class Encoder(Protocol):
    """A stream compressor; `flush` hands out what is ready, `finish` the rest."""

    def compress(self, data: bytes, /) -> int: ...
    def flush(self) -> Buffer: ...
    def finish(self) -> Buffer: ...


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "lz4": cramjam.lz4.Compressor,
    "zstd": cramjam.zstd.Compressor,
    "gzip": cramjam.gzip.Compressor,
}


class Plain:
    """Sends bytes as they are."""

    encoding: str | None = None

    def add(self, data: bytes) -> bytes:
        """Bytes to send for these."""
        return data

    def end(self) -> bytes:
        """Bytes to send at the end."""
        return b""


class Compressed(Plain):
    """Sends bytes compressed, so that each `add` can be read at once."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._encoder = ENCODERS[encoding]()

    def add(self, data: bytes) -> bytes:
        self._encoder.compress(data)
        return bytes(self._encoder.flush())

    def end(self) -> bytes:
        return bytes(self._encoder.finish())


def choose(accepted: str, *, enabled: bool) -> Plain:
    """The first encoding that we know of those a client accepts, when the request enables compression."""
    names = [item.partition(";")[0].strip() for item in accepted.split(",")] if enabled else []
    known = next((name for name in names if name in ENCODERS), None)
    return Compressed(known) if known else Plain()


def decompress(body: bytes, encoding: str | None) -> bytes:
    """A request's body. gzip, deflate and zstd were undone by the HTTP server already. Raises `QueryError`."""
    if encoding != "lz4":
        return body
    try:
        return bytes(cramjam.lz4.decompress(body))
    except cramjam.DecompressionError as error:
        raise QueryError.named(432, f"Cannot decompress the request: {error}", "UNKNOWN_COMPRESSION_METHOD") from error
