"""Request bodies: read within a bound, decompressed within the same bound, decoded strictly."""

from __future__ import annotations

import zlib
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web

from services.adapters.web_errors import ApiError, too_large

GZIP = 16 + zlib.MAX_WBITS
Decoded_co = TypeVar("Decoded_co", covariant=True)


class Decoder(Protocol[Decoded_co]):
    """What decodes a body, raising msgspec's errors."""

    def decode(self, body: bytes, /) -> Decoded_co:
        """The value in a body."""
        ...


async def read_body(request: web.BaseRequest) -> bytes:
    """The body, decompressed. Raises `ApiError` 413 (too large), 415 (unknown encoding) or 400 (corrupt gzip).

    Needs a server that leaves bodies compressed, as `web.listening` sets it up: bombs are then cut at the limit.
    """
    if (request.content_length or 0) > request.client_max_size:
        raise too_large(request.client_max_size)
    raw = _arrived(request)
    if raw is None:
        raw = await request.read()
    return decompressed(raw, request.headers.get("Content-Encoding"), request.client_max_size)


def decompressed(raw: bytes, encoding: str | None, limit_bytes: int) -> bytes:
    """A body without its Content-Encoding. Raises `ApiError` 413, 415 or 400."""
    if encoding is None or encoding == "identity":
        return raw
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise ApiError(415, "unsupported_encoding", f"Content-Encoding {encoding[:40]!r} is not gzip or identity")
    return gunzip(raw, limit_bytes)


def _arrived(request: web.BaseRequest) -> bytes | None:
    """A body that came together with its headers, as small ones do, for a third of the time of `request.read`."""
    if not request.content.is_eof():
        return None
    raw = request.content.read_nowait()
    if len(raw) > request.client_max_size:
        raise too_large(request.client_max_size)
    return raw


def gunzip(raw: bytes, limit_bytes: int) -> bytes:
    """Decompress gzip, all its members, never holding more than the limit. Raises `ApiError`."""
    parts: list[bytes] = []
    room = limit_bytes
    while raw:
        member = zlib.decompressobj(GZIP)
        try:
            part = member.decompress(raw, room + 1)
        except zlib.error as error:
            raise ApiError(400, "invalid_gzip", f"the body is not valid gzip: {error}") from error
        room -= len(part)
        if room < 0:
            raise too_large(limit_bytes)
        if not member.eof:
            raise ApiError(400, "invalid_gzip", "the body is not valid gzip: it ends too early")
        parts.append(part)
        raw = member.unused_data
    return b"".join(parts)


def decode_json(body: bytes, decoder: Decoder[Decoded_co]) -> Decoded_co:
    """Decode and validate JSON. Raises as `decode_body` does."""
    return decode_body(body, decoder, "JSON")


def decode_body(body: bytes | msgspec.Raw, decoder: Decoder[Decoded_co], language: str) -> Decoded_co:
    """Decode and validate. Raises `ApiError` 400 (not of the language, not UTF-8, too deep) or 422 (another shape)."""
    code = f"invalid_{language.lower()}"
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, field = split_path(str(error))
        raise ApiError(422, "invalid_field", message, field=field) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, code, f"the body is not valid {language}: {error}") from error
    except RecursionError as error:
        raise ApiError(400, code, "the body is nested too deeply") from error


def split_path(message: str) -> tuple[str, str | None]:
    """Msgspec's "... - at `$.a.b`" as the message and the path `a.b`."""
    text, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").removeprefix(".")
    return text, field or None
