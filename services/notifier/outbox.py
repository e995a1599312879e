"""The outbox: what is to be told and what was, on this machine's disk, together with how far the topics were read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

import msgspec

from services.adapters.topics import TopicName
from services.core.notification_events import Fate, Notification
from services.core.notifying import Bundle, Delivery, Notice, Waiting, redacted

SCHEMA = """
CREATE TABLE IF NOT EXISTS position (
  topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notice (
  id TEXT PRIMARY KEY, organization TEXT NOT NULL, raised_ms INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answer (
  organization TEXT NOT NULL, notice TEXT NOT NULL, by TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (organization, notice)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
  id TEXT PRIMARY KEY, notice TEXT NOT NULL, channel TEXT NOT NULL, step INTEGER NOT NULL, due_ms INTEGER NOT NULL,
  at_most INTEGER, together INTEGER NOT NULL, message TEXT, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '',
  at_ms INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS delivery_waiting ON delivery (due_ms) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS delivery_untold ON delivery (id) WHERE told = 0 AND state IN ('sent', 'dead', 'dropped');
CREATE INDEX IF NOT EXISTS delivery_of_notice ON delivery (notice);
CREATE INDEX IF NOT EXISTS delivery_of_message ON delivery (message);
CREATE TABLE IF NOT EXISTS message (
  id TEXT PRIMARY KEY, channel TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL,
  sent_ms INTEGER, state TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS message_open ON message (next_ms) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS message_sent ON message (channel, sent_ms) WHERE state = 'sent';
"""
_encode, _decode = msgspec.json.encode, msgspec.json.Decoder(Notice).decode
Position = tuple[TopicName, int]
P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class OutboxError(Exception):
    """The file cannot be opened; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message on its way to a channel: what it tells of, and how often it was tried. `id` is its idempotency key."""

    id: str
    channel: str
    attempts: int
    step: int
    notices: tuple[Notice, ...]


class Outbox:
    """A SQLite file, fsynced at every step. Its methods may block: let `call` call them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the file, for this process alone: two notifiers would tell everything twice.

        Raises `OutboxError`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.executescript(SCHEMA)
        except sqlite3.Error as error:
            db.close()
            raise OutboxError(
                f"the outbox {path} cannot be opened ({error}): is another notifier using the same SPENDGATE_DATA_DIR, "
                "and may this one write there? It remembers who was told: without it, the alerts of the last days are "
                "told again"
            ) from error
        return cls(db)

    async def call(self, work: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        """Work on the outbox in its own thread, one piece after the other. Cancelled, the piece goes on by itself."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    def close(self) -> None:
        """Close the file once all work on it is done; what is in it stays."""
        self._thread.shutdown()
        self._db.close()

    def positions(self) -> Mapping[Position, int]:
        """The next offset to be read, by topic and partition."""
        return {
            (topic, partition): following
            for topic, partition, following in self._db.execute("SELECT topic, partition, next FROM position")
        }

    @contextmanager
    def step(self, positions: Mapping[Position, int]) -> Iterator[None]:
        """One transaction: what is done in the block, and that the topics were read so far."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)", [(*key, value) for key, value in positions.items()]
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def knows(self, notice_id: str) -> bool:
        """Whether there is a plan for a notice."""
        return self._db.execute("SELECT 1 FROM notice WHERE id = ?", (notice_id,)).fetchone() is not None

    def answered_by(self, organization: str, notice_id: str) -> str | None:
        """Who has acknowledged a notice; that may be known before the notice itself."""
        found = self._db.execute(
            "SELECT by FROM answer WHERE organization = ? AND notice = ?", (organization, notice_id)
        ).fetchone()
        return None if found is None else str(found[0])

    def plan(self, notice: Notice, deliveries: Sequence[Delivery]) -> None:
        """Keep a notice and its plan; one that is known keeps the plan it has."""
        if self.knows(notice.id):
            return
        self._db.execute(
            "INSERT INTO notice VALUES (?, ?, ?, ?)",
            (notice.id, notice.organization, notice.raised_at_ms, _encode(notice)),
        )
        self._db.executemany(
            "INSERT OR IGNORE INTO delivery (id, notice, channel, step, due_ms, at_most, together, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting')",
            [(d.id, d.notice, d.channel, d.step, d.due_ms, d.at_most, d.together) for d in deliveries],
        )

    def answer(self, organization: str, notice_id: str, by: str, now_ms: int) -> None:
        """Somebody has acknowledged a notice: whoever was to be told next is not."""
        self._db.execute("INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?)", (organization, notice_id, by, now_ms))
        self._db.execute(
            "UPDATE delivery SET state = 'dropped', detail = ?, at_ms = ? WHERE notice = ? AND step > 0 "
            "AND state = 'waiting' AND message IS NULL "
            "AND notice IN (SELECT id FROM notice WHERE organization = ?)",
            (f"acknowledged by {by}"[:1024], now_ms, notice_id, organization),
        )

    def due(self, now_ms: int, most: int = 1_000) -> Mapping[tuple[str, str], Sequence[Waiting]]:
        """What waits for a message and is due, by organization and channel, in the order in which it became so.

        Of each channel the first so many: what waits for room there hides nobody else's.
        """
        found: dict[tuple[str, str], list[Waiting]] = {}
        for organization, channel, *waiting in self._db.execute(
            "SELECT organization, channel, id, at_most, together FROM (SELECT n.organization, d.*, row_number() OVER "
            "(PARTITION BY n.organization, d.channel ORDER BY d.due_ms, d.id) AS place FROM delivery d "
            "JOIN notice n ON n.id = d.notice WHERE d.state = 'waiting' AND d.message IS NULL AND d.due_ms <= ?) "
            "WHERE place <= ? ORDER BY due_ms, id",
            (now_ms, most),
        ):
            found.setdefault((organization, channel), []).append(Waiting(waiting[0], waiting[1], bool(waiting[2])))
        return found

    def sent_ms(self, channel: str, since_ms: int) -> list[int]:
        """When messages went to a channel, or began to."""
        rows = self._db.execute(
            "SELECT coalesce(sent_ms, next_ms) FROM message WHERE channel = ? AND state IN ('sent', 'open') "
            "AND coalesce(sent_ms, next_ms) > ?",
            (channel, since_ms),
        )
        return [at_ms for (at_ms,) in rows]

    def put(self, channel: str, bundles: Iterable[Bundle], now_ms: int) -> None:
        """Make messages of deliveries: from now on they go together, under one idempotency key."""
        for each in bundles:
            self._db.execute(
                "INSERT OR IGNORE INTO message (id, channel, next_ms, state) VALUES (?, ?, ?, 'open')",
                (each.id, channel, now_ms),
            )
            self._db.executemany(
                "UPDATE delivery SET message = ? WHERE id = ?", [(each.id, name) for name in each.deliveries]
            )

    def open_messages(self, now_ms: int, most: int, besides: Iterable[str] = ()) -> list[Message]:
        """Messages to be tried now; `besides` are on their way. The channels take turns, each its longest due first."""
        busy = set(besides)
        rows = self._db.execute(
            "SELECT id, channel, attempts FROM (SELECT *, row_number() OVER "
            "(PARTITION BY channel ORDER BY next_ms, id) AS place FROM message "
            "WHERE state = 'open' AND next_ms <= ?) ORDER BY place, next_ms, id LIMIT ?",
            (now_ms, most + len(busy)),
        ).fetchall()
        return [self._message(*row) for row in rows if row[0] not in busy][:most]

    def next_due_ms(self, after_ms: int) -> int | None:
        """When something becomes due after an instant; None: nothing does, as far as is known now.

        What was due by then has been looked at: it is on its way, or waits for room.
        """
        row = self._db.execute(
            "SELECT min(at) FROM (SELECT min(due_ms) AS at FROM delivery WHERE state = 'waiting' AND message IS NULL "
            "AND due_ms > ?1 UNION ALL SELECT min(next_ms) FROM message WHERE state = 'open' AND next_ms > ?1)",
            (after_ms,),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def settle(self, message: Message, fate: Fate, detail: str, now_ms: int) -> None:
        """A message was taken, or is given up."""
        self._db.execute(
            "UPDATE message SET state = ?, sent_ms = ?, attempts = ? WHERE id = ?",
            (fate, now_ms, message.attempts + 1, message.id),
        )
        self._db.execute(
            "UPDATE delivery SET state = ?, detail = ?, at_ms = ? WHERE message = ?",
            (fate, detail[:1024], now_ms, message.id),
        )

    def postpone(self, message: Message, detail: str, next_ms: int) -> None:
        """A message was not taken, and is to be tried again."""
        self._db.execute(
            "UPDATE message SET attempts = ?, next_ms = ? WHERE id = ?", (message.attempts + 1, next_ms, message.id)
        )
        self._db.execute("UPDATE delivery SET detail = ? WHERE message = ?", (detail[:1024], message.id))

    def untold(self, most: int) -> list[Notification]:
        """What has ended and has not been published yet."""
        rows = self._db.execute(
            "SELECT d.id, n.organization, d.notice, d.channel, d.step, d.state, coalesce(m.attempts, 0), d.message, "
            "d.detail, d.at_ms FROM delivery d JOIN notice n ON n.id = d.notice "
            "LEFT JOIN message m ON m.id = d.message "
            "WHERE d.told = 0 AND d.state IN ('sent', 'dead', 'dropped') LIMIT ?",
            (most,),
        )
        return [_notification(*row) for row in rows]

    def published(self, notifications: Iterable[Notification]) -> None:
        """These have been published."""
        self._db.executemany("UPDATE delivery SET told = 1 WHERE id = ?", [(n.notification,) for n in notifications])

    def counts(self) -> Mapping[str, int]:
        """How many deliveries there are in each state."""
        return dict(self._db.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())

    def of(self, organization: str, state: str | None, most: int) -> list[Notification]:
        """An organization's deliveries, the newest first; those that wait have the state `waiting`."""
        rows = self._db.execute(
            "SELECT d.id, n.organization, d.notice, d.channel, d.step, d.state, coalesce(m.attempts, 0), d.message, "
            "d.detail, max(d.at_ms, d.due_ms) FROM delivery d JOIN notice n ON n.id = d.notice "
            "LEFT JOIN message m ON m.id = d.message WHERE n.organization = ? AND (? IS NULL OR d.state = ?) "
            "ORDER BY max(d.at_ms, d.due_ms) DESC, d.id LIMIT ?",
            (organization, state, state, most),
        )
        return [_notification(*row) for row in rows]

    def forget(self, before_ms: int) -> None:
        """Forget what was raised before, and has ended: what is that old is not told any more anyway."""
        self._db.execute(
            "DELETE FROM delivery WHERE notice IN (SELECT id FROM notice WHERE raised_ms < ?) AND notice NOT IN "
            "(SELECT notice FROM delivery WHERE state = 'waiting' OR told = 0)",
            (before_ms,),
        )
        self._db.execute(
            "DELETE FROM notice WHERE raised_ms < ? AND id NOT IN (SELECT notice FROM delivery)", (before_ms,)
        )
        self._db.execute(
            "DELETE FROM message WHERE state <> 'open' AND sent_ms < ? AND id NOT IN "
            "(SELECT message FROM delivery WHERE message IS NOT NULL)",
            (before_ms,),
        )
        self._db.execute("DELETE FROM answer WHERE at_ms < ?", (before_ms,))

    def _message(self, message_id: str, channel: str, attempts: int) -> Message:
        rows = self._db.execute(
            "SELECT n.body, d.step FROM delivery d JOIN notice n ON n.id = d.notice WHERE d.message = ? "
            "ORDER BY n.raised_ms, n.id",
            (message_id,),
        ).fetchall()
        assert rows, "a message tells of something"
        return Message(
            message_id, channel, attempts, max(step for _, step in rows), tuple(_decode(body) for body, _ in rows)
        )


def _notification(
    name: str,
    organization: str,
    alert: str,
    channel: str,
    step: int,
    state: Fate,
    attempts: int,
    message: str | None,
    detail: str,
    at_ms: int,
) -> Notification:
    return Notification(
        notification=name,
        organization=organization,
        alert=alert,
        channel=redacted(channel),
        step=step,
        state=state,
        attempts=attempts,
        message=message,
        detail=detail,
        at_ms=at_ms,
    )
