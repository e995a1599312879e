"""The spool: records that are acknowledged but not in Kafka yet, on this machine's disk, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
  id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  events INTEGER NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS record_by_partition ON record (topic, partition, id);
CREATE TABLE IF NOT EXISTS aside (
  id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  events INTEGER NOT NULL, value BLOB NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""
PARTITIONS = "partitions"
DISK_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC")


class SpoolError(Exception):
    """The spool cannot be opened; the message says why and what to do."""


class SpoolFull(Exception):
    """There is no room, by our own bound or the disk's: nothing was kept, so nothing may be acknowledged."""


@dataclass(frozen=True, slots=True)
class SpooledRecord:
    """One record as it will go to Kafka: a JSON array of `events` events."""

    id: int
    events: int
    value: bytes


class Spool:
    """A bounded SQLite queue per topic and partition. Use it from one thread at a time; every call may block on disk.

    `events` and `bytes` say how much waits, `aside` how many records Kafka would not take. `append` returns only once
    the disk has the record (write-ahead log, `synchronous=FULL`): it survives `kill -9` and a power cut.
    """

    def __init__(self, connection: sqlite3.Connection, max_bytes: int) -> None:
        self._db = connection
        self.max_bytes = max_bytes
        self.events, self.bytes = self._count()
        self.aside = int(connection.execute("SELECT count(*) FROM aside").fetchone()[0])

    @classmethod
    def open(cls, path: Path, *, max_bytes: int) -> Self:
        """Open or create the file, for this process alone. Raises `SpoolError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise SpoolError(
                f"the spool {path} cannot be opened ({error}): is another process using the same SPENDGATE_DATA_DIR, "
                "and may this one write there?"
            ) from error
        return cls(db, max_bytes)

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._db.close()

    def append(self, topic: str, partition: int, events: int, value: bytes) -> SpooledRecord:
        """Keep a record behind those of its partition. Raises `SpoolFull`."""
        if self.bytes + len(value) > self.max_bytes:
            raise SpoolFull(f"the spool holds {self.bytes} of at most {self.max_bytes} bytes")
        try:
            row = self._db.execute(
                "INSERT INTO record (topic, partition, events, value) VALUES (?, ?, ?, ?)",
                (topic, partition, events, value),
            )
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in DISK_FULL:
                raise
            raise SpoolFull(f"the disk under the spool is full: {error}") from error
        self.bytes += len(value)
        self.events += events
        return SpooledRecord(int(row.lastrowid or 0), events, value)

    def oldest(self, topic: str, partition: int, *, max_events: int, max_bytes: int) -> list[SpooledRecord]:
        """The first records of a partition, as many as the bounds allow but at least one, if there is any."""
        taken: list[SpooledRecord] = []
        events = size = 0
        for row in self._db.execute(
            "SELECT id, events, value FROM record WHERE topic = ? AND partition = ? ORDER BY id LIMIT ?",
            (topic, partition, max_events),
        ):
            record = SpooledRecord(*row)
            events, size = events + record.events, size + len(record.value)
            if taken and (events > max_events or size > max_bytes):
                break
            taken.append(record)
        return taken

    def remove(self, topic: str, partition: int, records: Sequence[SpooledRecord]) -> None:
        """Forget the oldest records of a partition, which Kafka has acknowledged; done twice, it is done once."""
        removed = self._db.execute(
            "DELETE FROM record WHERE topic = ? AND partition = ? AND id <= ? RETURNING events, length(value)",
            (topic, partition, records[-1].id),
        ).fetchall()
        self._count_removed(removed)
        if removed and self.events == 0:
            self._give_room_back()

    def set_aside(self, record: SpooledRecord, reason: str) -> None:
        """Keep a record where nobody waits for it, for a person to look at; done twice, it is done once."""
        with self._db:  # commits, or rolls back
            self._db.execute("BEGIN")
            self._db.execute(
                "INSERT INTO aside SELECT id, topic, partition, events, value, ? FROM record WHERE id = ?",
                (reason, record.id),
            )
            moved = self._db.execute(
                "DELETE FROM record WHERE id = ? RETURNING events, length(value)", (record.id,)
            ).fetchall()
        self._count_removed(moved)
        self.aside += len(moved)

    def _count_removed(self, removed: Sequence[tuple[int, int]]) -> None:
        self.events -= sum(events for events, _ in removed)
        self.bytes -= sum(size for _, size in removed)

    def _give_room_back(self) -> None:
        # The records are gone either way: room that cannot be given back now is given back the next time.
        with suppress(sqlite3.Error):
            self._db.executescript("PRAGMA incremental_vacuum")  # a script: `execute` would free one page
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def waiting(self) -> dict[tuple[str, int], int]:
        """How many records wait, by topic and partition."""
        rows = self._db.execute("SELECT topic, partition, count(*) FROM record GROUP BY topic, partition")
        return {(topic, partition): count for topic, partition, count in rows}

    def _count(self) -> tuple[int, int]:
        row = self._db.execute("SELECT coalesce(sum(events), 0), coalesce(sum(length(value)), 0) FROM record")
        events, size = row.fetchone()
        return events, size

    def partitions(self) -> int | None:
        """The partition count that Kafka last told, so that a start without Kafka can still place events."""
        row = self._db.execute("SELECT number FROM fact WHERE name = ?", (PARTITIONS,)).fetchone()
        return None if row is None else int(row[0])

    def remember_partitions(self, count: int) -> None:
        """Keep the partition count."""
        self._db.execute("INSERT OR REPLACE INTO fact (name, number) VALUES (?, ?)", (PARTITIONS, count))
