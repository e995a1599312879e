"""Who may see what: the principal behind a browser's or a program's request, and the organizations that it covers."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.adapters.clock import now_ms
from services.adapters.keys import ANY_ORGANIZATION, Keyring, Principal
from services.adapters.web import authorize
from services.console.board import Board
from services.console.sessions import MAY_SIGN_IN, Sessions


class Access:
    """Reads sessions and keys. What a principal does not cover does not exist for it."""

    def __init__(self, sessions: Sessions, keyring: Keyring, board: Board) -> None:
        self._sessions, self._keyring, self._board = sessions, keyring, board

    def session(self, request: web.Request) -> Principal | None:
        """Whose browser this is, if somebody signed in on it."""
        return self._sessions.principal(request.cookies, now_ms())

    def reader(self, request: web.Request) -> Principal | None:
        """Who asks for a page: by session, or by key as programs do. Raises `ApiError` for a key that may not."""
        header = request.headers.get("Authorization")
        return self.session(request) if header is None else authorize(header, self._keyring, MAY_SIGN_IN)

    def organizations(self, principal: Principal) -> Sequence[str]:
        """The organizations that a principal sees, in order."""
        if principal.organization == ANY_ORGANIZATION:
            return self._board.organizations
        return [principal.organization]
