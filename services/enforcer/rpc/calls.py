"""The methods of the RPC: a body in msgpack, one call to the desk, a result in msgpack."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Final, TypeVar

import msgspec

from schemas.rpc import VERSION, Hello, Welcome
from services.adapters.keys import Keyring, Principal, Role
from services.adapters.web_body import Decoder, decode_body
from services.adapters.web_errors import ApiError, unauthenticated
from services.core.ask import Ask
from services.core.check import AskDecoder, Check
from services.core.decision import Decision
from services.enforcer.desk import EDGES, READERS, Desk, require_role
from services.enforcer.report import Release, Report
from services.enforcer.rpc.bodies import CheckCall, Nothing, Pong, StatusAsk
from services.enforcer.wants import Shortage

DecodedT = TypeVar("DecodedT")
Answer = bytes | Coroutine[None, None, bytes]
"""A result, or who waits for it."""
Method = Callable[[Principal, msgspec.Raw], Answer]
ANYBODY: Final = frozenset(Role)

_CHECK: Final = b"\xa6method\xa5check"
_CHECK_WITHIN: Final = 32

_check_call = msgspec.msgpack.Decoder(CheckCall).decode
_hello = msgspec.msgpack.Decoder(Hello)
_ask = AskDecoder(msgspec.msgpack.Decoder(Ask), msgspec.msgpack.Decoder(Check))
_report = msgspec.msgpack.Decoder(Report)
_release = msgspec.msgpack.Decoder(Release)
_status = msgspec.msgpack.Decoder(StatusAsk)
_nothing = msgspec.msgpack.Decoder(Nothing)
_encode = msgspec.msgpack.Encoder().encode


class Calls:
    """Every method by its name."""

    def __init__(self, desk: Desk, keyring: Keyring) -> None:
        self._desk, self._keyring = desk, keyring
        self.methods: Mapping[str, Method] = {
            "check": self.check,
            "release": self.release,
            "settle": self.settle,
            "status": self.status,
            "ping": self.ping,
        }
        self._roles = {"check": EDGES, "release": EDGES, "settle": EDGES, "status": READERS, "ping": ANYBODY}

    def welcome(self, body: msgspec.Raw, frame_bytes_max: int) -> tuple[Principal, Welcome]:
        """Who says hello, and the answer. Raises `ApiError`: 400 for another version, 401 for an unknown key."""
        hello = decode(body, _hello)
        if hello.version != VERSION:
            detail = {"versions": [VERSION]}
            raise ApiError(400, "unsupported_version", f"this enforcer speaks version {VERSION}", detail=detail)
        principal = self._keyring.authenticate(hello.key)
        if principal is None:
            raise unauthenticated("this API key is not known")
        identity = self._desk.engine.identity
        return principal, Welcome(VERSION, identity, principal.role, principal.organization, frame_bytes_max)

    def methods_for(self, principal: Principal) -> Mapping[str, Method]:
        """The methods that are for this key."""
        return {name: call for name, call in self.methods.items() if principal.role in self._roles[name]}

    def require_allowed(self, principal: Principal, method: str) -> None:
        """Raise `ApiError`: 404 for a method that there is not, 403 for one that is not for this key."""
        roles = self._roles.get(method)
        if roles is None:
            raise ApiError(404, "no_such_method", f"the methods are {', '.join(self._roles)}", field="method")
        require_role(principal, roles)

    def read_check(self, frame: bytes) -> CheckCall | None:
        """A call that says in its first bytes that it is a check, read at once with its body.

        None for any other, for one that does not say how many tokens its input has, and for one that is not valid.
        """
        if frame.find(_CHECK, 0, _CHECK_WITHIN) < 0:
            return None
        try:
            return _check_call(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def check(self, principal: Principal, body: msgspec.Raw) -> Answer:
        """Decide a request; it may have to wait for a share."""
        return self.decide(principal, decode(body, _ask))

    def decide(self, principal: Principal, ask: Ask) -> Answer:
        """The same, its body read already."""
        decision = self._desk.check(principal, ask)
        if isinstance(decision, Shortage):
            return self._check_waiting(principal, ask, decision)
        return self._told(decision)

    def release(self, principal: Principal, body: msgspec.Raw) -> Answer:
        """Give a reservation back."""
        return _encode(self._desk.release(principal, decode(body, _release)))

    def ping(self, _principal: Principal, body: msgspec.Raw) -> Answer:
        """Say that somebody is there."""
        decode(body, _nothing)
        return _encode(Pong(self._desk.engine.identity, self._desk.engine.standings.restored))

    def settle(self, principal: Principal, body: msgspec.Raw) -> Answer:
        """Settle a reservation; answers once that is durable."""
        return self._settle(principal, decode(body, _report))

    def status(self, principal: Principal, body: msgspec.Raw) -> Answer:
        """A scope's balances and budgets, once a ledger position has been reached."""
        return self._status(principal, decode(body, _status))

    async def _settle(self, principal: Principal, report: Report) -> bytes:
        return _encode(await self._desk.settle(principal, report))

    async def _status(self, principal: Principal, asked: StatusAsk) -> bytes:
        return _encode(await self._desk.status(principal, asked.scope, asked.after, asked.wait_ms))

    async def _check_waiting(self, principal: Principal, ask: Ask, shortage: Shortage) -> bytes:
        return self._told(await self._desk.check_waiting(principal, ask, shortage))

    def _told(self, decision: Decision) -> bytes:
        """The decision as it is answered and kept."""
        encoded = _encode(decision)
        self._desk.publish(decision, msgpack=encoded)
        return encoded


def decode(body: msgspec.Raw, decoder: Decoder[DecodedT]) -> DecodedT:
    """Decode and validate. Raises `ApiError` 422 for another shape, 400 for text that is not UTF-8."""
    return decode_body(body, decoder, "msgpack")
