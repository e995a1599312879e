"""What the watch has learnt, on this machine's disk: detectors' states, how far they were fed, and what was told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from services.core.anomaly import Detector, StateError

SCHEMA = """
CREATE TABLE IF NOT EXISTS organization (name TEXT PRIMARY KEY, fed_until_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS detector (
  organization TEXT NOT NULL, scope TEXT NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (organization, scope)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
  organization TEXT NOT NULL, scope TEXT NOT NULL, begins_ms INTEGER NOT NULL, hour_ms INTEGER NOT NULL,
  anomaly TEXT NOT NULL, named_ms INTEGER NOT NULL, PRIMARY KEY (organization, scope, begins_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS learnt_with (settings TEXT PRIMARY KEY);
"""
TABLES = ("organization", "detector", "told", "learnt_with")


class MemoryFileError(Exception):
    """The file cannot be opened; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """An episode that was told: under which name, where that says it begins, and the hour that last showed it."""

    anomaly: str
    begins_ms: int
    hour_ms: int


@dataclass(slots=True)
class Watched:
    """The detectors of an organization, fed with every hour before `fed_until_ms`; and what was told of whom since."""

    fed_until_ms: int
    detectors: dict[str, Detector] = field(default_factory=dict)
    told: dict[tuple[str, int], Told] = field(default_factory=dict)
    """By scope and where the episode begins."""

    def known(self, scope: str, begins_ms: int, hour_ms: int) -> Told | None:
        """What was told of an episode: one that begins there, or that the same hour has shown."""
        same = self.told.get((scope, begins_ms))
        if same is not None:
            return same
        return next((told for (of, _), told in self.told.items() if of == scope and told.hour_ms == hour_ms), None)


class Memory:
    """A SQLite file. Use it from one thread at a time; every call may block on disk. What is lost is learnt again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    def open(cls, path: Path, *, settings: str) -> Self:
        """Open or create the file, for this process alone; what was learnt with other settings is to be learnt again.

        Raises `MemoryFileError`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            _prepare(db, settings)
        except sqlite3.Error as error:
            db.close()
            raise MemoryFileError(
                f"{path} cannot be opened ({error}): is another forecaster using the same SPENDGATE_DATA_DIR, and may "
                "this one write there? What it holds can be learnt again: a broken file may be deleted"
            ) from error
        return cls(db)

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._db.close()

    def recall(self, organization: str) -> Watched | None:
        """What is known of an organization; None: nothing yet, or by a release that kept other states."""
        row = self._db.execute("SELECT fed_until_ms FROM organization WHERE name = ?", (organization,)).fetchone()
        if row is None:
            return None
        states = self._db.execute("SELECT scope, state FROM detector WHERE organization = ?", (organization,))
        try:
            detectors = {scope: Detector.load(state) for scope, state in states}
        except StateError:
            return None
        columns = "scope, begins_ms, anomaly, named_ms, hour_ms"
        rows = self._db.execute(f"SELECT {columns} FROM told WHERE organization = ?", (organization,))  # noqa: S608
        return Watched(int(row[0]), detectors, {(scope, begins): Told(*told) for scope, begins, *told in rows})

    def keep(self, organization: str, watched: Watched, changed: Iterable[str]) -> None:
        """Keep all of an organization at once: these detectors have been fed."""
        states = [(organization, scope, watched.detectors[scope].dump()) for scope in changed]
        told = [(organization, *key, each.hour_ms, each.anomaly, each.begins_ms) for key, each in watched.told.items()]
        self._db.execute("BEGIN")
        try:
            self._db.execute("INSERT OR REPLACE INTO organization VALUES (?, ?)", (organization, watched.fed_until_ms))
            self._db.executemany("INSERT OR REPLACE INTO detector VALUES (?, ?, ?)", states)
            self._db.execute("DELETE FROM told WHERE organization = ?", (organization,))
            self._db.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?)", told)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise


def _prepare(db: sqlite3.Connection, settings: str) -> None:
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(SCHEMA)
    if db.execute("SELECT settings FROM learnt_with").fetchall() != [(settings,)]:
        for table in TABLES:
            db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of our own tables
        db.execute("INSERT INTO learnt_with VALUES (?)", (settings,))
