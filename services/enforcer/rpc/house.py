"""What the connections of one server share."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec

from schemas.rpc import Welcome
from services.adapters.keys import Principal
from services.core.ask import Ask
from services.enforcer.rpc.bodies import CheckCall
from services.enforcer.rpc.calls import Answer, Method
from services.enforcer.rpc.meters import Meters

if TYPE_CHECKING:
    from services.enforcer.rpc.connection import Connection


class Asked(Protocol):
    """Whom connections ask: `calls.Calls`, which says what each method does."""

    def welcome(self, body: msgspec.Raw, frame_bytes_max: int) -> tuple[Principal, Welcome]:
        """The answer to a hello."""

    def methods_for(self, principal: Principal) -> Mapping[str, Method]:
        """The methods that are for a key."""

    def require_allowed(self, principal: Principal, method: str) -> None:
        """Refuse all others."""

    def read_check(self, frame: bytes) -> CheckCall | None:
        """A check that can be read at once."""

    def decide(self, principal: Principal, ask: Ask) -> Answer:
        """The answer to it."""


class House(Protocol):
    """A server, as its connections know it."""

    meters: Meters
    frame_bytes_max: int
    draining: bool

    @property
    def calls(self) -> Asked:
        """Who answers."""

    def joined(self, connection: Connection) -> None:
        """A connection was made."""

    def left(self, connection: Connection) -> None:
        """A connection was lost."""

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that outlives its connection: what is being settled will be settled."""
