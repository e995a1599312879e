"""One ledger record being applied: what it has changed so far, and the steps that every kind of event is made of."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.alerting import Watch, raise_alerts, raise_unpriced
from services.core.balance import FUTURE_TOLERANCE_MS, Balance
from services.core.effects import Effects, Position
from services.core.escrow import Registered, outstanding
from services.core.ledger_event import Counted
from services.core.money import MoneyError, parse_cost
from services.core.outcomes import AuditAction, AuditEntry
from services.core.posting import Place
from services.core.record import Record
from services.core.rejection import Reason, Refused
from services.core.scope import scope_key
from services.core.seen import SeenRecord, Settlement
from services.core.state import Cells, LedgerState
from services.core.window import WindowKind


class Application:
    """The state, the record, and the effects gathered from it. `clock_ms` is the ledger's clock at this record."""

    def __init__(self, state: LedgerState, record: Record) -> None:
        self.state = state
        self.record = record
        self.offset = record.offset
        self.clock_ms = max(state.position.clock_ms, record.appended_at_ms)
        self.effects = Effects()
        self._charges_posted = state.position.charges
        # Kept for as long as a duplicate could still be accepted: an event may be ahead of the clock by the tolerance.
        self._seen = SeenRecord(forget_after_ms=self.clock_ms + state.horizon_ms + FUTURE_TOLERANCE_MS)

    def begin(self) -> None:
        """Let go of what has been kept long enough."""
        removed = self.state.tables.sweep(self.clock_ms)
        if removed:
            self.state.forget_cells()
            self.effects.balances.update(dict.fromkeys(removed))
        self.effects.seen.update(dict.fromkeys(self.state.seen.forget(self.clock_ms)))
        for name, enforcer in self.state.overdue_enforcers(self.clock_ms):
            self.reclaim(name, enforcer)
        for name in self.state.departed_enforcers(self.clock_ms):
            del self.state.enforcers[name]
            self.effects.enforcers[name] = None

    def finish(self) -> Effects:
        """Remember what was seen, and move the position."""
        if not self._seen.empty:
            self.state.seen.close(self.offset, self._seen)
            self.effects.seen[self.offset] = self._seen
        position = Position(offset=self.offset, charges=self._charges_posted, clock_ms=self.clock_ms)
        self.state.position = self.effects.position = position
        return self.effects

    def duplicate(self, event: Counted) -> bool:
        """Whether the event was counted before; if so, that is all that happens to it."""
        if self.state.seen.event(event.data.organization, event.source, event.id):
            self.effects.counts["duplicate"] += 1
            return True
        return False

    def remember(self, event: Counted) -> None:
        """The event has been counted."""
        self.state.seen.note_event(self._seen, event.data.organization, event.source, event.id)

    def remember_reservation(self, organization: str, reservation: str, settlement: Settlement) -> None:
        """The reservation has been charged."""
        self.state.seen.note_reservation(self._seen, organization, reservation, settlement)

    def check_time(self, at_ms: int) -> None:
        """Raise Refused for a time whose duplicates are no longer, or not yet, known."""
        age_ms = self.clock_ms - at_ms
        if age_ms > self.state.horizon_ms:
            horizon_s = self.state.horizon_ms // 1000
            raise Refused(Reason.LATE, f"{age_ms // 1000} s old: duplicates are known for {horizon_s} s only", "time")
        if -age_ms > FUTURE_TOLERANCE_MS:
            ahead_s = -age_ms // 1000
            raise Refused(Reason.FUTURE, f"{ahead_s} s ahead of the ledger's clock: check the sender's clock", "time")

    def count(self, cells: Cells, organization: str, at_ms: int, cost_nanousd: int, spender: str | None) -> None:
        """Add one request's cost to its balances: the hot loop, a dozen balances for every event of the ledger.

        `spender`: the enforcer through whose reservation it was spent.
        """
        offset = self.offset
        covered = True
        for cell in cells:
            balance = cell.balance
            balance.settled_nanousd += cost_nanousd
            balance.requests += 1
            if balance.offset != offset:  # the first change by this record
                balance.offset = offset
                self.effects.balances[cell.key] = balance
            if balance.shares:
                covered &= self._use(balance, spender, cost_nanousd) or not cell.guarded
            elif cell.guarded:
                covered = False
            if cell.watches:
                self._watch(cell.watches, balance, organization, at_ms)
        if not covered:
            self._expose(cost_nanousd, spender)

    def change(
        self,
        cells: Cells,
        organization: str,
        at_ms: int,
        difference: int,
        spender: str | None,
        *,
        unconfirmed: int = 0,
        requests: int = 0,
        unpriced: int = 0,
    ) -> None:
        """Add differences (of either sign) to balances: nano-dollars settled and unconfirmed, and counts."""
        covered = True
        for cell in cells:
            balance = cell.balance
            balance.settled_nanousd += difference
            balance.unconfirmed_nanousd += unconfirmed
            balance.requests += requests
            balance.unpriced += unpriced
            self.touch(cell.key, balance)
            if balance.shares:
                covered &= self._use(balance, spender, difference) or not cell.guarded
            elif cell.guarded:
                covered = False
            self._watch(cell.watches, balance, organization, at_ms)
        if not covered:
            self._expose(difference, spender)

    def touch(self, key: str, balance: Balance) -> None:
        """This record has changed a balance."""
        balance.offset = self.offset
        self.effects.balances[key] = balance

    def register(self, name: str, enforcer: Registered) -> None:
        """An enforcer is new, or has said something."""
        self.state.enforcers[name] = self.effects.enforcers[name] = enforcer

    def reclaim(self, name: str, enforcer: Registered) -> None:
        """Take back an enforcer's shares, everywhere and for good: from now on others may get them."""
        enforcer.reclaimed = True
        self.register(name, enforcer)
        for key, balance in self.state.tables.items():
            share = balance.shares.pop(name, None)
            if share is not None:
                self.effects.exposed["reclaimed"] += share.outstanding_nanousd
                self.touch(key, balance)

    def guard(self, key: str, balance: Balance, limit_nanousd: int) -> None:
        """This is the balance's hard limit now. What its shares exceed a smaller one by may still be spent."""
        before, balance.limit_nanousd = balance.limit_nanousd, limit_nanousd
        if before is not None and limit_nanousd < before:
            granted = balance.settled_nanousd + outstanding(balance.shares.values())
            beyond = max(0, granted - limit_nanousd) - max(0, granted - before)
            # What is spent already is spent: only what is not can still come to be above the limit.
            shrunk = min(beyond, granted - balance.settled_nanousd)
            if shrunk:
                self.effects.exposed["shrunk"] += shrunk
        if before != limit_nanousd:
            self.touch(key, balance)

    def audit(
        self,
        index: int,
        action: AuditAction,
        subject: str,
        *,
        organization: str | None,
        by: str,
        key_id: str | None = None,
        reason: str = "",
        before: str = "",
        after: str = "",
        budgets: Sequence[str] = (),
    ) -> None:
        """Put on record what the event at `index` has changed; `before` and `after` are short JSON texts."""
        number = len(self.effects.audit)
        self.effects.audit.append(
            AuditEntry(
                entry=f"{self.record.partition}-{self.offset}-{index}-{number}",
                organization=organization,
                action=action,
                subject=subject,
                by=by,
                key_id=key_id,
                reason=reason,
                before=before,
                after=after,
                budgets=list(budgets),
                at_ms=self.clock_ms,
                ledger_partition=self.record.partition,
                ledger_offset=self.offset,
                ledger_index=index,
            )
        )

    def tell_unpriced(self, cells: Cells, organization: str, model: str) -> None:
        """A request has no known price: somebody should know, once a day and model."""
        today = f"{scope_key({'org': organization})}@{WindowKind.DAY}:"
        for cell in cells:
            if cell.key.startswith(today):
                self.effects.alerts += raise_unpriced(
                    cell.balance,
                    cell.key,
                    organization,
                    model,
                    clock_ms=self.clock_ms,
                    partition=self.record.partition,
                    offset=self.offset,
                )

    def place(self, index: int) -> Place:
        """Where the next charge stands: its event's place in the ledger, and its own in the sequence of charges."""
        self.effects.counts["counted"] += 1
        self._charges_posted += 1
        return Place(self.record.partition, self.offset, index, self._charges_posted, self.clock_ms)

    def _expose(self, amount_nanousd: int, spender: str | None) -> None:
        """Something was spent that no share covers; what comes late from a reclaimed one was counted with that."""
        known = None if spender is None else self.state.enforcers.get(spender)
        if amount_nanousd > 0 and (known is None or not known.reclaimed):
            self.effects.exposed["unreserved"] += amount_nanousd

    def _use(self, balance: Balance, spender: str | None, difference: int) -> bool:
        """Take what was spent from the spender's share; False when it has none here."""
        share = None if spender is None else balance.shares.get(spender)
        if share is None:
            return False
        overdrawn = share.use(difference)
        if overdrawn:
            self.effects.exposed["overdrawn"] += overdrawn
        return True

    def _watch(self, watches: list[Watch], balance: Balance, organization: str, at_ms: int) -> None:
        for watch in watches:
            if balance.settled_nanousd >= watch.next_nanousd:
                self.effects.alerts += raise_alerts(
                    watch,
                    balance,
                    organization,
                    at_ms=at_ms,
                    clock_ms=self.clock_ms,
                    partition=self.record.partition,
                    offset=self.offset,
                )


def cost_nanousd(text: str, field: str) -> int:
    """What an event says in dollars. Raises Refused, naming the field."""
    try:
        return parse_cost(text)
    except MoneyError as error:
        raise Refused(Reason.INVALID_MONEY, str(error), field) from error
