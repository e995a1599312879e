"""The balances and policies that pages show: the windows of now, and as much of the past as charts need. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from schemas.policy import Policy
from services.core.balance import split_key
from services.core.effects import POSITION_KEY, PolicyEntry, Position
from services.core.escrow import Share
from services.core.events import to_ms
from services.core.policy import ANY, Budget, CompiledPolicy, budget_scope
from services.core.scope import Level, level_of, parse_scope
from services.core.state import compiled_of
from services.core.window import Window, WindowKind, window_at, window_of_label

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

_POSITION: Final = POSITION_KEY.encode()
_RESERVED: Final = b"#"
_UTC: Final = ZoneInfo("UTC")
_CHARTED: Final = (Level.ORGANIZATION, Level.PROJECT, Level.TEAM)
_SLACK_MS: Final = 26 * HOUR_MS
"""A calendar window ends up to half a day sooner or later than one of the same name in UTC."""
_CHARTED_MS: Final = {WindowKind.HOUR: 26 * HOUR_MS, WindowKind.DAY: 40 * DAY_MS}
_SWEEP_MS: Final = 60_000

dimensions_of = lru_cache(maxsize=65_536)(parse_scope)


class Amount(Struct, gc=False, omit_defaults=True):
    """What of a balance a page shows. Money in nano-dollars; see `core.balance.Balance`."""

    settled_nanousd: int = 0
    requests: int = 0
    unconfirmed_nanousd: int = 0
    unpriced: int = 0
    offset: int = -1
    shares: dict[str, Share] = {}

    @property
    def reserved_nanousd(self) -> int:
        """What enforcers may still spend of it: reserved for requests in flight, or ready to be."""
        return sum(share.outstanding_nanousd for share in self.shares.values())


NOTHING: Final = Amount()
_decode_amount = msgspec.json.Decoder(Amount).decode
_decode_position = msgspec.json.Decoder(Position).decode
_decode_policy = msgspec.json.Decoder(PolicyEntry).decode


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget in force, and one balance that it limits, as both are at an instant."""

    budget: Budget
    scope: str
    window: Window
    amount: Amount
    limit_nanousd: int

    @property
    def used_bp(self) -> int:
        """Settled spending in basis points of the limit; a limit of zero is full."""
        return self._share_bp(self.amount.settled_nanousd)

    @property
    def committed_bp(self) -> int:
        """The same with what enforcers hold, which is the most that requests in flight have reserved."""
        return self._share_bp(self.amount.settled_nanousd + self.amount.reserved_nanousd)

    @property
    def tier(self) -> str:
        """Which tier the spending so far is in."""
        tiers, used = self.budget.tiers, self.used_bp
        if used >= tiers.hard_bp:
            return "over" if self.budget.on_hard == "monitor" else "hard"
        return "throttle" if used >= tiers.throttle_bp else "soft" if used >= tiers.soft_bp else "normal"

    def _share_bp(self, nanousd: int) -> int:
        return nanousd * 10_000 // self.limit_nanousd if self.limit_nanousd else 10_000


@dataclass(slots=True)
class Book:
    """One organization: its policy, and the balances of each scope by the label of their window."""

    policy: CompiledPolicy
    amounts: dict[str, dict[str, Amount]] = field(default_factory=dict)
    budgets: dict[str, tuple[Budget, ...]] = field(default_factory=dict)
    """Which budgets limit a scope, as far as somebody has asked."""

    def of_level(self, level: Level) -> Iterator[str]:
        """The scopes of a level."""
        return (scope for scope in self.amounts if level_of(scope) is level)

    def amount(self, scope: str, window: Window) -> Amount:
        """The balance of a scope in a window."""
        return self.amounts.get(scope, {}).get(window.label, NOTHING)

    def window(self, kind: WindowKind, now_ms: int) -> Window:
        """The window that an instant is in, in the organization's time zone."""
        return window_at(kind, now_ms, self.policy.zone)

    def limits(self, now_ms: int) -> Iterator[Limit]:
        """Every budget in force with each balance that it limits in its present window."""
        for scope in {**self.amounts, **dict.fromkeys(self._named_scopes())}:
            yield from self.limits_on(scope, now_ms)

    def limits_on(self, scope: str, now_ms: int) -> Iterator[Limit]:
        """The budgets of one scope."""
        for budget in self._budgets(scope):
            window = self.window(budget.window, now_ms)
            yield Limit(budget, scope, window, self.amount(scope, window), budget.limit_at(now_ms))

    def _budgets(self, scope: str) -> tuple[Budget, ...]:
        found = self.budgets.get(scope)
        if found is None:
            values = {name: value for name, value in dimensions_of(scope).items() if name != "org"}
            found = tuple(budget for budget, matched in self.policy.matching(values) if matched == values)
            self.budgets[scope] = found
        return found

    def _named_scopes(self) -> Iterator[str]:
        """The scopes that budgets name outright: they are shown before anything is spent in them."""
        for budget in self.policy.budgets:
            if all(value != ANY for _, value in budget.pattern):
                yield budget_scope(self.policy.organization, dict(budget.pattern))


class _Entry(NamedTuple):
    """A record of the balances changelog, read. Without an amount, the balance is removed."""

    scope: str
    label: str
    amount: Amount | None
    until_ms: int | None


class Books:
    """Every organization. It is given the changelogs' records, and shows transactions whole once it has caught up."""

    def __init__(self) -> None:
        self.by_organization: dict[str, Book] = {}
        self.policies: dict[str, Policy] = {}
        """Each policy in force as it was written: with its contacts, which no decision needs."""
        self.restored = False
        """Until then records apply as they come: compaction leaves one position at the very end."""
        self._unfinished: defaultdict[int, list[_Entry]] = defaultdict(list)
        self._leaving: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
        self._swept_ms = 0
        self.clock_ms = 0
        """How far the ledger's own clock has come."""

    def book(self, organization: str) -> Book:
        """What is known of an organization; an empty book of one that nothing is known of."""
        return self.by_organization.get(organization) or Book(CompiledPolicy.none(organization))

    def zone(self, organization: str) -> ZoneInfo | None:
        """Where the days of an organization begin; None without a policy."""
        policy = self.policies.get(organization)
        return None if policy is None else ZoneInfo(policy.timezone)

    def take_balance(self, partition: int, key: bytes, value: bytes | None, now_ms: int) -> None:
        """Apply a record of the balances changelog. Raises `msgspec.MsgspecError` and ValueError: it is none."""
        unfinished = self._unfinished[partition]
        if key == _POSITION:
            self.clock_ms = max(self.clock_ms, _decode_position(value or b"{}").clock_ms)
            for entry in unfinished:
                self._put(entry, now_ms)
            unfinished.clear()
        elif not key.startswith(_RESERVED):
            entry = _entry_of(key, value)
            if self.restored:
                unfinished.append(entry)
            else:
                self._put(entry, now_ms)

    def take_policy(self, value: bytes) -> None:
        """Put a policy in force. Raises `msgspec.MsgspecError` and ValueError: it cannot be read, the old one stays."""
        entry = _decode_policy(value)
        written = Policy.model_validate(entry.policy)
        policy = compiled_of(entry, written)
        self.policies[entry.organization] = written
        book = self.by_organization.setdefault(entry.organization, Book(policy))
        book.policy = policy
        book.budgets.clear()

    def forget(self, now_ms: int) -> None:
        """Drop what no page shows any more, at most once a minute."""
        if now_ms - self._swept_ms < _SWEEP_MS:
            return
        self._swept_ms = now_ms
        for hour in [hour for hour in self._leaving if hour * HOUR_MS <= now_ms]:
            for scope, label in self._leaving.pop(hour):
                self._remove(scope, label)

    def _put(self, entry: _Entry, now_ms: int) -> None:
        scope, label, amount, until_ms = entry
        if amount is None:
            self._remove(scope, label)
            return
        if until_ms is not None and until_ms <= now_ms:
            return
        organization = dimensions_of(scope)["org"]
        book = self.by_organization.setdefault(organization, Book(CompiledPolicy.none(organization)))
        amounts = book.amounts.setdefault(scope, {})
        known = amounts.get(label)
        if known is None and until_ms is not None:
            self._leaving[-(-until_ms // HOUR_MS)].append((scope, label))
        # A changelog that is read again from its beginning repeats older values: the higher offset holds.
        if known is None or amount.offset >= known.offset:
            amounts[label] = amount

    def _remove(self, scope: str, label: str) -> None:
        book = self.by_organization.get(dimensions_of(scope)["org"])
        amounts = None if book is None else book.amounts.get(scope)
        if book is not None and amounts is not None:
            amounts.pop(label, None)
            if not amounts:
                del book.amounts[scope]
                book.budgets.pop(scope, None)


def _entry_of(key: bytes, value: bytes | None) -> _Entry:
    scope, label = split_key(key.decode())
    if "org" not in dimensions_of(scope):
        raise ValueError(f"{scope[:80]!r} is no organization's scope")
    until_ms = _shown_until_ms(label, level_of(scope) in _CHARTED)
    return _Entry(scope, label, None if value is None else _decode_amount(value), until_ms)


@lru_cache(maxsize=65_536)
def _shown_until_ms(label: str, charted: bool) -> int | None:
    """Until when pages show a window; None for ever. A function of the label: hours and minutes say their own zone."""
    window = window_of_label(label, _UTC) if not label.startswith(("hour:", "minute:")) else _clock_window(label)
    if window.end_ms is None:
        return None
    past_ms = _CHARTED_MS.get(window.kind, 0) if charted else 0
    slack_ms = 0 if window.kind in (WindowKind.HOUR, WindowKind.MINUTE) else _SLACK_MS
    return window.end_ms + past_ms + slack_ms


def _clock_window(label: str) -> Window:
    """An hour or a minute that says its offset from UTC, at its longest."""
    name, _, period = label.partition(":")
    kind = WindowKind(name)
    start_ms = to_ms(datetime.fromisoformat(period))
    return Window(kind, label, start_ms, start_ms + (HOUR_MS if kind is WindowKind.HOUR else 60_000))
