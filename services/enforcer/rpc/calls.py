"""The methods of the RPC: a body in msgpack, one call to the desk, a result."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from schemas.rpc import VERSION, Hello, Welcome
from services.adapters.keys import Keyring, Principal, Role
from services.adapters.web_body import Decoder, decode_body
from services.adapters.web_errors import ApiError, unauthenticated
from services.core.ask import Ask
from services.core.check import AskDecoder, Check
from services.core.decision import Decision, LedgerPosition
from services.enforcer.desk import EDGES, READERS, WAIT_MS_DEFAULT, WAIT_MS_MAX, Desk, require_role
from services.enforcer.report import Release, Report
from services.enforcer.wants import Shortage

DecodedT = TypeVar("DecodedT")
Instant = Callable[[Principal, msgspec.Raw], object]
"""Answers at once, or with a coroutine when it turns out that this answer takes longer."""
Later = Callable[[Principal, msgspec.Raw], Coroutine[None, None, object]]
ANYBODY: Final = frozenset(Role)


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


_hello = msgspec.msgpack.Decoder(Hello)
_ask = AskDecoder(msgspec.msgpack.Decoder(Ask), msgspec.msgpack.Decoder(Check))
_report = msgspec.msgpack.Decoder(Report)
_release = msgspec.msgpack.Decoder(Release)
_status = msgspec.msgpack.Decoder(StatusAsk)
_nothing = msgspec.msgpack.Decoder(Nothing)
_encode = msgspec.msgpack.Encoder().encode


class Calls:
    """Every method by its name: those that answer at once, and those that wait for something."""

    def __init__(self, desk: Desk, keyring: Keyring) -> None:
        self._desk, self._keyring = desk, keyring
        self.instant: Mapping[str, Instant] = {"check": self.check, "release": self.release, "ping": self.ping}
        self.later: Mapping[str, Later] = {"settle": self.settle, "status": self.status}
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

    def instant_for(self, principal: Principal) -> Mapping[str, Instant]:
        """The methods that answer at once and are for this key."""
        return {name: call for name, call in self.instant.items() if principal.role in self._roles[name]}

    def require_allowed(self, principal: Principal, method: str) -> None:
        """Raise `ApiError`: 404 for a method that there is not, 403 for one that is not for this key."""
        roles = self._roles.get(method)
        if roles is None:
            raise ApiError(404, "no_such_method", f"the methods are {', '.join(self._roles)}", field="method")
        require_role(principal, roles)

    def check(self, principal: Principal, body: msgspec.Raw) -> object:
        """Decide a request; a coroutine when it has to wait for a share."""
        ask = decode(body, _ask)
        decision = self._desk.check(principal, ask)
        if isinstance(decision, Shortage):
            return self._check_waiting(principal, ask, decision)
        return self._told(decision)

    def release(self, principal: Principal, body: msgspec.Raw) -> object:
        """Give a reservation back."""
        return self._desk.release(principal, decode(body, _release))

    def ping(self, _principal: Principal, body: msgspec.Raw) -> object:
        """Say that somebody is there."""
        decode(body, _nothing)
        return Pong(self._desk.engine.identity, self._desk.engine.standings.restored)

    async def settle(self, principal: Principal, body: msgspec.Raw) -> object:
        """Settle a reservation; answers once that is durable."""
        return await self._desk.settle(principal, decode(body, _report))

    async def status(self, principal: Principal, body: msgspec.Raw) -> object:
        """A scope's balances and budgets."""
        asked = decode(body, _status)
        return await self._desk.status(principal, asked.scope, asked.after, asked.wait_ms)

    async def _check_waiting(self, principal: Principal, ask: Ask, shortage: Shortage) -> object:
        decision = await self._desk.check_waiting(principal, ask, shortage)
        return self._told(decision)

    def _told(self, decision: Decision) -> msgspec.Raw:
        """The decision as it is answered and kept."""
        encoded = _encode(decision)
        self._desk.publish(decision, msgpack=encoded)
        return msgspec.Raw(encoded)


def decode(body: msgspec.Raw, decoder: Decoder[DecodedT]) -> DecodedT:
    """Decode and validate. Raises `ApiError` 422 for another shape, 400 for text that is not UTF-8."""
    return decode_body(body, decoder, "msgpack")
