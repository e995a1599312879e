"""From what a gateway forwards to an ask: its own headers first, the client's body for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from services.adapters.keys import ANY_ORGANIZATION, Principal
from services.adapters.web_body import decode_body
from services.adapters.web_errors import ApiError
from services.core.ask import Ask
from services.core.check import Check
from services.enforcer.gateway.forwarded import check_fields, decode, sized

Fields = Mapping[str, Any]
_INPUT: Final = ("input_tokens", "messages", "tools", "estimated_from")


class Forwarded(NamedTuple):
    """A client's request as its gateway shows it: what the gateway says, and the body, decompressed."""

    said: Fields
    content_type: str
    body: bytes


def ask_of(forwarded: Forwarded, principal: Principal) -> Ask:
    """What is asked. Raises `ApiError` 400, 415 and 422."""
    if "json" in forwarded.content_type.lower():
        return _read(forwarded.body, lambda body: check_fields(decode(body)), forwarded.said, principal)
    if "model" not in forwarded.said:
        raise ApiError(415, "unsupported_media_type", "only JSON says which model it is for: set x-budget-model")
    return _read(forwarded.body, lambda body: sized(len(body)), forwarded.said, principal)


def ask_without_body(said: Fields, principal: Principal) -> Ask:
    """What is asked, by headers alone. Raises `ApiError` 411 when they do not say how long the input is, and 422."""
    if "input_tokens" not in said:
        raise ApiError(411, "length_required", "say how long the request is: send its Content-Length")
    return _read(b"", lambda _: {}, said, principal)


def _read(body: bytes, fields: Callable[[bytes], Fields], said: Fields, principal: Principal) -> Ask:
    return decode_body(body, _AskReader(fields, _with_organization(said, principal)), "JSON")


def _with_organization(said: Fields, principal: Principal) -> Fields:
    """An organization's own key needs no word on whose request it is."""
    if "organization" in said or principal.organization == ANY_ORGANIZATION:
        return said
    return {**said, "organization": principal.organization}


class _AskReader:
    """Reads the fields of a body, lays over them what the gateway says, and makes an ask of both."""

    def __init__(self, fields: Callable[[bytes], Fields], said: Fields) -> None:
        self._fields, self._said = fields, said

    def decode(self, body: bytes, /) -> Ask:
        """Raises msgspec's errors, `UnicodeDecodeError` and `RecursionError`."""
        read = dict(self._fields(body))
        if "input_tokens" in self._said:
            read = {name: value for name, value in read.items() if name not in _INPUT}
        return msgspec.convert({**read, **self._said}, Check).ask()
