"""The limits of a run as functions of time, worked out without the code that is tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.core.events import from_ms, to_ms
from tests.core.ledger import NOON_MS, budget, policy

HOUR_MS = 3_600_000
USD = 1_000_000_000


@dataclass(slots=True)
class Limits:
    """A budget on the day and one on each user's hour, alike; halved in the hour from noon UTC if `scheduled`.

    `paced`: the last tenth is let out slowly. `gracious`: on the day, critical requests may go a tenth beyond.
    `changes`: when which amount was put in force, in nano-dollars.
    """

    zone: ZoneInfo
    scheduled: bool
    paced: bool
    gracious: bool
    changes: list[tuple[int, int]] = field(default_factory=list)

    def put_in_force(self, now_ms: int, amount: int) -> dict[str, Any]:
        """Another amount from now on; the event that says so."""
        self.changes.append((now_ms, amount))
        version = len(self.changes)
        usd = f"{amount // USD}.{amount % USD:09}"
        common = {
            "schedule": [{"when": self._noon(), "factor": "0.5"}] if self.scheduled else [],
            "tiers": {"soft": "0.8", "throttle": "0.9" if self.paced else "1", "hard": "1"},
        }
        grace = {"grace": {"priorities": ["critical"], "percent": 10, "duration": "2h"}} if self.gracious else {}
        budgets = (
            budget("hard", usd, "day", **common, **grace),
            budget("each-user", usd, "hour", scope={"user": "*"}, **common),
        )
        written = policy(*budgets, organization="strict", timezone=self.zone.key, version=version, at_ms=now_ms)
        written["id"] = f"strict-{version}"
        return written

    @property
    def now(self) -> int:
        """The amount in force, without its schedule."""
        return self.changes[-1][1]

    def at(self, key: str, now_ms: int) -> int:
        """What a balance is allowed now."""
        start_ms, end_ms = self.window(key)
        return self._at(self.now, min(max(now_ms, start_ms), end_ms - 1))

    def largest(self, key: str, now_ms: int) -> int:
        """The most that a balance was ever allowed, until now, its grace included."""
        start_ms, end_ms = self.window(key)
        until_ms = [since_ms for since_ms, _ in self.changes[1:]] + [now_ms]
        limit = max(
            self._at(amount, min(max(moment, start_ms), end_ms - 1))
            for (since_ms, amount), ended_ms in zip(self.changes, until_ms, strict=True)
            for moment in (since_ms, ended_ms)
        )
        return limit * 11 // 10 if self.gracious and "@day:" in key else limit

    def day(self, at_ms: int) -> str:
        """The day that an instant belongs to."""
        return self._local(at_ms).date().isoformat()

    def hour(self, at_ms: int) -> str:
        """The hour that an instant belongs to, with its offset."""
        return self._local(at_ms).replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")

    def window(self, key: str) -> tuple[int, int]:
        """When the window of a balance begins and ends."""
        kind, _, label = key.rpartition("@")[2].partition(":")
        begins = datetime.fromisoformat(label)
        if kind == "hour":
            return to_ms(begins), to_ms(begins) + HOUR_MS
        return to_ms(begins.replace(tzinfo=self.zone)), to_ms((begins + timedelta(days=1)).replace(tzinfo=self.zone))

    def _at(self, amount: int, at_ms: int) -> int:
        halved = self.scheduled and NOON_MS <= at_ms < NOON_MS + HOUR_MS
        return amount // 2 if halved else amount

    def _noon(self) -> str:
        local = self._local(NOON_MS)
        return f"{local:%H:%M}-{local + timedelta(hours=1):%H:%M}"

    def _local(self, at_ms: int) -> datetime:
        return from_ms(at_ms).astimezone(self.zone)
