"""From an answer to its result, or to the error that it tells."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from schemas.rpc import Answer
from services.client.errors import Refused, Unavailable


class _Error(Struct, frozen=True):
    code: str
    message: str
    field: str | None = None


class _Failure(Struct, frozen=True):
    error: _Error


_failure = msgspec.msgpack.Decoder(_Failure)


def result(answer: Answer) -> msgspec.Raw:
    """The body of a good answer. Raises `Unavailable` from status 500 on, `Refused` below."""
    if answer.status == 200:
        return answer.body
    error = _failure.decode(answer.body).error
    if answer.status >= 500:
        raise Unavailable(error.code, error.message)
    raise Refused(answer.status, error.code, error.message, error.field)
