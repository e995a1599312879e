"""Sessions: connections that clients come back to by name, one request at a time, until they are idle too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse.errors import QueryError
from services.adapters.clock import monotonic_ms


@dataclass(slots=True)
class Session:
    """One client's connection; its lock is held while a request runs."""

    connection: Connection
    expires_at_ms: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """All open sessions. Thread-safe."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow(self, name: str, timeout_ms: int, *, must_exist: bool) -> Iterator[Connection]:
        """The session's connection. Raises `QueryError` when another request has it, or it must exist and is gone."""
        session = self._acquire(name, timeout_ms, must_exist=must_exist)
        try:
            yield session.connection
        finally:
            session.expires_at_ms = monotonic_ms() + timeout_ms
            session.lock.release()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            for session in self._open.values():
                session.connection.close()
            self._open.clear()

    def _acquire(self, name: str, timeout_ms: int, *, must_exist: bool) -> Session:
        with self._lock:
            self._drop_expired()
            session = self._open.get(name)
            if session is None:
                if must_exist:
                    raise QueryError.named(372, "Session not found.", "SESSION_NOT_FOUND")
                session = self._open[name] = Session(self._connect(), monotonic_ms() + timeout_ms)
            if not session.lock.acquire(blocking=False):
                raise QueryError.named(373, "Session is locked by a concurrent client.", "SESSION_IS_LOCKED")
            return session

    def _drop_expired(self) -> None:
        now_ms = monotonic_ms()
        for name in [name for name, session in self._open.items() if session.expires_at_ms < now_ms]:
            if self._open[name].lock.acquire(blocking=False):
                self._open.pop(name).connection.close()
