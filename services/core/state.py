"""Everything the fold knows of one ledger partition: tables, seen, policies, position, and what is cached from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.policy import Policy
from services.core.alerting import Watch, watches_of
from services.core.backfill import BACKFILLED
from services.core.balance import CARRY_AFTER_MS, HORIZON_MS, Balance, Tables, is_kept, split_key
from services.core.effects import PolicyEntry, Position
from services.core.escrow import ENFORCER_KEY, Registered
from services.core.events import Dimensions
from services.core.guard import Guard, blocking, guard_of
from services.core.money import parse_usd
from services.core.policy import ActiveBoost, ActiveMove, CompiledPolicy
from services.core.pricing import PriceBook
from services.core.route import ALWAYS_COUNTED, Routes, Slot
from services.core.scope import Level, level_of
from services.core.seen import Seen

_MAX_CACHED_ROUTES = 65_536

_decode_balance = msgspec.json.Decoder(Balance).decode
_decode_policy = msgspec.json.Decoder(PolicyEntry).decode
_decode_enforcer = msgspec.json.Decoder(Registered).decode
_decode_position = msgspec.json.Decoder(Position).decode


@dataclass(slots=True)
class Cell:
    """A balance as the fold meets it: its key, its value, and the alert thresholds still ahead of it.

    `guarded`: a budget blocks there, so what is spent is to be covered by a share.
    """

    key: str
    balance: Balance
    watches: list[Watch]
    guarded: bool


Cells = tuple[Cell, ...]


@dataclass(slots=True)
class Organization:
    """An organization's policy in force, and the cells of the routes met lately."""

    entry: PolicyEntry | None
    routes: Routes
    cells: dict[tuple[object, ...], Cells] = field(default_factory=dict)
    watches: dict[str, list[Watch]] = field(default_factory=dict)
    guards: dict[str, Guard | None] = field(default_factory=dict)

    def guard(self, key: str) -> Guard | None:
        """What limits a balance of the organization, if anything does. Raises `ValueError` for a key of none."""
        if key not in self.guards:
            if len(self.guards) >= _MAX_CACHED_ROUTES:
                self.guards.clear()
            self.guards[key] = guard_of(self.routes.policy, *split_key(key))
        return self.guards[key]


class LedgerState:
    """The state of one ledger partition.

    `fold` advances it in place: a copy for each event would cost more than the fold itself. Equal records folded into
    equal states give equal states, byte for byte.
    """

    def __init__(
        self,
        partition: int,
        prices: PriceBook,
        *,
        horizon_ms: int = HORIZON_MS,
        carry_after_ms: int = CARRY_AFTER_MS,
    ) -> None:
        self.partition = partition
        self.prices = prices
        self.price_version = prices.version
        self.horizon_ms = horizon_ms
        self.carry_after_ms = carry_after_ms
        self.position = Position()
        self.tables = Tables()
        self.seen = Seen()
        self.enforcers: dict[str, Registered] = {}
        self._organizations: dict[str, Organization] = {}
        # Only of organizations with something open: when the first of it expires.
        self._proposals_until_ms: dict[str, int] = {}

    def restore_balance(self, key: str, value: bytes | None) -> None:
        """Load one entry of the balances changelog; the later entry of a key replaces the earlier."""
        if key.startswith(ENFORCER_KEY):
            self._restore_enforcer(key.removeprefix(ENFORCER_KEY), value)
            return
        self.tables.put(key, None if value is None else _decode_balance(value))

    def restore_policy(self, value: bytes) -> None:
        """Load one entry of the policies changelog."""
        self.adopt(_decode_policy(value))

    def restore_seen(self, offset: int, value: bytes) -> None:
        """Load one entry of the seen changelog, in ledger order."""
        self.seen.restore(offset, value)

    def restore_position(self, value: bytes) -> None:
        """Load the position; the last one read holds."""
        self.position = _decode_position(value)

    def overdue_enforcers(self, clock_ms: int) -> list[tuple[str, Registered]]:
        """The enforcers that have been silent for too long, in the order of their names."""
        overdue = sorted(name for name, found in self.enforcers.items() if found.overdue(clock_ms))
        return [(name, self.enforcers[name]) for name in overdue]

    def departed_enforcers(self, clock_ms: int) -> list[str]:
        """Those reclaimed so long ago that nothing they reserved can still be settled."""
        kept_ms = 2 * self.horizon_ms
        return [
            name
            for name, found in self.enforcers.items()
            if found.reclaimed and clock_ms - found.alive_at_ms > kept_ms + (found.reclaim_after_ms or 0)
        ]

    def organization(self, name: str) -> Organization:
        """An organization's policy and caches; one never heard of has no budgets."""
        organization = self._organizations.get(name)
        if organization is None:
            routes = Routes(CompiledPolicy.none(name))
            organization = self._organizations[name] = Organization(entry=None, routes=routes)
        return organization

    def adopt(self, entry: PolicyEntry) -> CompiledPolicy:
        """Put a policy in force. Raises pydantic's ValidationError if it is not a valid policy."""
        policy = compiled_of(entry, Policy.model_validate(entry.policy))
        self._organizations[entry.organization] = Organization(entry=entry, routes=Routes(policy))
        self._watch_proposals(entry)
        return policy

    def retell(self, entry: PolicyEntry) -> None:
        """Replace what is said of the policy in force: nothing that decides about money is another."""
        self.organization(entry.organization).entry = entry
        self._watch_proposals(entry)

    def overdue_proposals(self, clock_ms: int) -> list[str]:
        """The organizations of which a proposal has expired, in the order of their names."""
        return sorted(name for name, until_ms in self._proposals_until_ms.items() if until_ms <= clock_ms)

    def cells(self, dimensions: Dimensions, at_ms: int) -> Cells:
        """The cells of the balances that a request counts toward, opened at zero where they are new."""
        organization = self.organization(dimensions.organization)
        key = organization.routes.cache_key(dimensions, at_ms)
        cells = organization.cells.get(key)
        if cells is None:
            if len(organization.cells) >= _MAX_CACHED_ROUTES:
                organization.cells.clear()
            slots = organization.routes.slots(dimensions, at_ms)
            cells = organization.cells[key] = tuple(self._open(organization, slots))
        return cells

    def cells_counted(self, whose: Dimensions, at_ms: int, clock_ms: int, counted: Sequence[str]) -> Cells:
        """The cells of the balances in which a request was counted, under whatever policy, that are still kept.

        Those are `counted`, and the wider windows of its levels that a policy has opened since: they hold it too,
        through their backfill.
        """
        organization = self.organization(whose.organization)
        slots = {slot.key: slot for slot in organization.routes.slots(whose, at_ms)}
        kept = [key for key in counted if is_kept(split_key(key)[1], clock_ms)]
        wider = [slot for key, slot in slots.items() if key not in counted and self._backfilled(slot)]
        bare = [self._bare_cell(key) for key in kept if key not in slots]
        return (*bare, *self._open(organization, [slots[key] for key in kept if key in slots] + wider))

    def cells_of_charge(self, whose: Dimensions, at_ms: int, clock_ms: int, *, charged_at_offset: int) -> Cells:
        """The cells of the balances that a charge of long ago is part of, as far as anybody can still know.

        Balances of its levels that are still kept; those of other scopes only if the policy in force had already been
        applied when it was charged: of a budget that came later, they never contained it.
        """
        organization = self.organization(whose.organization)
        entry = organization.entry
        same_policy = entry is not None and entry.offset < charged_at_offset
        slots = [
            slot
            for slot in organization.routes.slots(whose, at_ms)
            if is_kept(slot.window.label, clock_ms) and (same_policy or _always_counted(slot) or self._backfilled(slot))
        ]
        return tuple(self._open(organization, slots))

    def forget_cells(self) -> None:
        """Drop what is cached: balances have left the tables."""
        for organization in self._organizations.values():
            organization.cells.clear()
            organization.watches.clear()

    def _watch_proposals(self, entry: PolicyEntry) -> None:
        if entry.proposals:
            self._proposals_until_ms[entry.organization] = min(each.expires_at_ms for each in entry.proposals)
        else:
            self._proposals_until_ms.pop(entry.organization, None)

    def _backfilled(self, slot: Slot) -> bool:
        """Whether a balance exists that was, or may have been, filled from narrower windows of its level."""
        return slot.level is not Level.BUDGET and slot.window.kind in BACKFILLED and slot.key in self.tables[slot.level]

    def _bare_cell(self, key: str) -> Cell:
        """The cell of a balance that no budget of the present policy limits."""
        level = level_of(split_key(key)[0])
        return Cell(key, self.tables.open(level, key), [], False)

    def _open(self, organization: Organization, slots: Iterable[Slot]) -> Iterable[Cell]:
        for slot in slots:
            balance = self.tables.open(slot.level, slot.key)
            watches = organization.watches.get(slot.key)
            if watches is None:
                watches = watches_of(slot, balance)
                if watches:
                    organization.watches[slot.key] = watches
            yield Cell(slot.key, balance, watches, bool(blocking(slot.budgets)))

    def _restore_enforcer(self, name: str, value: bytes | None) -> None:
        if value is None:
            self.enforcers.pop(name, None)
        else:
            self.enforcers[name] = _decode_enforcer(value)


def compiled_of(entry: PolicyEntry, written: Policy) -> CompiledPolicy:
    """The policy of an entry as `written` there, with its boosts and moves."""
    return CompiledPolicy.compile(
        written, version=entry.version, boosts=active_boosts(entry), moves=active_moves(entry)
    )


def active_boosts(entry: PolicyEntry) -> dict[str, list[ActiveBoost]]:
    """The boosts of a policy by budget name."""
    boosts: dict[str, list[ActiveBoost]] = {}
    for boost in entry.boosts:
        boosts.setdefault(boost.budget, []).append(ActiveBoost(parse_usd(boost.amount_usd), boost.until_ms))
    return boosts


def active_moves(entry: PolicyEntry) -> dict[str, list[ActiveMove]]:
    """The moves of a policy by budget name: from one budget to another, and from one window to the next."""
    moves: dict[str, list[ActiveMove]] = {}
    for move in entry.moves:
        amount = parse_usd(move.amount_usd)
        for budget, signed in ((move.from_budget, -amount), (move.to_budget, amount)):
            moves.setdefault(budget, []).append(ActiveMove(signed, move.since_ms, move.ends_ms))
    for carried in entry.carries:
        amount, turns_ms = parse_usd(carried.amount_usd), carried.turns_ms
        # Whoever looks at a window that is over looks at its last instant: there the money is no longer.
        left, came = ActiveMove(-amount, turns_ms - 1, turns_ms), ActiveMove(amount, turns_ms, carried.ends_ms)
        moves.setdefault(carried.budget, []).extend((left, came))
    return moves


def _always_counted(slot: Slot) -> bool:
    return slot.level is not Level.BUDGET and slot.window.kind in ALWAYS_COUNTED
