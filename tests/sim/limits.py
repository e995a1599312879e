"""The limits of a run as functions of time, worked out without the code that is tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.core.events import from_ms, to_ms
from tests.core.ledger import NOON_MS, Json, budget, event, policy

HOUR_MS = 3_600_000
USD = 1_000_000_000
USERS = ("ada", "bob")


@dataclass(frozen=True, slots=True)
class Moved:
    """Money that was moved from one user's hour to another's."""

    since_ms: int
    giver: str
    taker: str
    amount: int


@dataclass(slots=True)
class Limits:
    """A budget on the day, one on each user's hour, alike; halved in the hour from noon UTC if `scheduled`.

    `paced`: the last tenth is let out slowly. `gracious`: on the day, critical requests may go a tenth beyond.
    `moving`: each user has a budget of its own, and money moves between them; `moved` by the name of the move.
    `carrying`: half of a day's limit may be left to the next one; `carried`, by day. `changes`: when which amount was
    put in force. All in nano-dollars.
    """

    zone: ZoneInfo
    scheduled: bool
    paced: bool
    gracious: bool
    moving: bool = False
    carrying: bool = False
    moved: dict[str, Moved] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
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
        carry = {"carry_over": {"cap_percent": 50}} if self.carrying else {}
        users = USERS if self.moving else ("*",)
        budgets = (
            budget("hard", usd, "day", **common, **grace, **carry),
            *(budget(self.budget(user), usd, "hour", scope={"user": user}, **common) for user in users),
        )
        written = policy(*budgets, organization="strict", timezone=self.zone.key, version=version, at_ms=now_ms)
        written["id"] = f"strict-{version}"
        return written

    def move(self, name: str, giver: str, taker: str, amount: int, *, source: str, at_ms: int) -> Json:
        """The event that moves money between two users."""
        data = {
            "organization": "strict",
            "move": name,
            "from_budget": self.budget(giver),
            "to_budget": self.budget(taker),
            "amount_usd": f"{amount // USD}.{amount % USD:09}",
            "by": source,
        }
        return event("budget.moved", data, event_id=name, source=source, at_ms=at_ms)

    def carry(self, day: str, *, at_ms: int) -> Json:
        """The event that carries a day over."""
        data = {"organization": "strict", "budget": "hard", "window": f"day:{day}", "by": "steward"}
        return event("budget.carried", data, event_id=f"carry-{day}", source="steward", at_ms=at_ms)

    def budget(self, user: str) -> str:
        """What the budget of a user is called."""
        return "each-user" if user == "*" else f"{user}-hour"

    def net(self, key: str) -> int:
        """What moves have given the balance of a user's hour, or taken from it; and a day, from the day before."""
        if "@day:" in key:
            day = date.fromisoformat(key.rpartition("@day:")[2])
            came, left = (self.carried.get(each.isoformat(), 0) for each in (day - timedelta(days=1), day))
            return came - left
        user = key.partition("/user:")[2].partition("@")[0]
        start_ms, end_ms = self.window(key)
        happened = [moved for moved in self.moved.values() if start_ms <= moved.since_ms < end_ms]
        taken = sum(moved.amount for moved in happened if moved.taker == user)
        return taken - sum(moved.amount for moved in happened if moved.giver == user)

    def of_version(self, version: int, key: str, at_ms: int) -> int:
        """What a version of the policy allows a balance at an instant in its window, as far as money has been moved."""
        return max(0, self._at(self.changes[version - 1][1], at_ms) + self.net(key))

    @property
    def now(self) -> int:
        """The amount in force, without its schedule."""
        return self.changes[-1][1]

    def at(self, key: str, now_ms: int) -> int:
        """What a balance is allowed now."""
        start_ms, end_ms = self.window(key)
        return max(0, self._at(self.now, min(max(now_ms, start_ms), end_ms - 1)) + self.net(key))

    def largest(self, key: str, now_ms: int) -> int:
        """The most that a balance was ever allowed, until now, its grace included, if what is moved now always was."""
        start_ms, end_ms = self.window(key)
        until_ms = [since_ms for since_ms, _ in self.changes[1:]] + [now_ms]
        limit = max(
            self._at(amount, min(max(moment, start_ms), end_ms - 1))
            for (since_ms, amount), ended_ms in zip(self.changes, until_ms, strict=True)
            for moment in (since_ms, ended_ms)
        )
        limit += self.net(key)
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
