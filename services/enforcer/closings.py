"""Reservations on their way out: settled, released or expired, each once, with the event that tells the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.core.balance import FUTURE_TOLERANCE_MS, HORIZON_MS
from services.core.events import Dimensions, Expiry, ReservationExpired, UsageRecorded, from_ms
from services.core.money import format_usd
from services.core.pricing import PriceBook
from services.core.reservation import ReservationId
from services.enforcer.directory import Directory
from services.enforcer.errors import (
    AlreadyClosed,
    BeingSettled,
    OutOfTime,
    UnknownReservation,
)
from services.enforcer.pending import Pending, Spending
from services.enforcer.report import Report, cost_of, usage_of
from services.enforcer.reservations import Closed, Fate, Reservation, Reservations


@dataclass(frozen=True, slots=True)
class Closing:
    """A reservation on its way out: its event is to be appended, then `confirm` or `undo` is to be called.

    `reservation` is None for one that this enforcer does not know.
    """

    organization: str
    event: UsageRecorded | ReservationExpired
    fate: Fate
    cost_nanousd: int | None
    spending: Spending
    reservation: Reservation | None
    was_live: bool


class Closings:
    """Ends reservations. What it begins is ended by `confirm` or `undo`, once it is known whether the ledger has it."""

    def __init__(
        self,
        reservations: Reservations,
        pending: Pending,
        directory: Directory,
        prices: PriceBook,
        source: Callable[[], str],
    ) -> None:
        """`source()` is whom the ledger hears it from."""
        self._reservations, self._pending, self._directory = reservations, pending, directory
        self._prices, self._source = prices, source

    def owner(self, reservation_id: str) -> str | None:
        """The organization of a reservation; None for one not known here."""
        reservation = self._find(reservation_id)
        return None if reservation is None else reservation.ask.organization

    def settle(self, report: Report, now_ms: int) -> Closing | Closed:
        """Begin to replace a reservation by what was used; `Closed` when that was done before.

        Raises `UnknownReservation` when neither this enforcer nor the report knows whose usage it is, and
        `OutOfTime`, `MoneyError` or `InconsistentUsage` for what the ledger would reject: nothing is then changed.
        """
        closed = self._reservations.closed(report.reservation)
        if closed is not None and closed.fate == "settled":
            return closed
        live = self._reservations.live(report.reservation)
        reservation = live or (closed.reservation if closed else None)
        usage = usage_of(report, reservation.ask if reservation else None)
        if usage is None:
            raise UnknownReservation(report.reservation)
        if closed is None or closed.fate != "expired":  # of that one the ledger knows, however old it is
            _require_in_time(report.reservation, now_ms)
        cost = cost_of(usage, self._prices, now_ms)
        amount = cost or 0
        if closed is not None and closed.fate == "expired":
            # The estimate was charged; the ledger corrects it downwards by itself.
            amount = max(0, amount - (closed.reservation.estimate_nanousd or 0))
        spending = self._spend(usage, report.reservation, amount, now_ms)
        if reservation is not None:
            self._reservations.settle(reservation)
        event = UsageRecorded(id=report.reservation, source=self._source(), time=from_ms(now_ms), data=usage)
        return Closing(usage.organization, event, "settled", cost, spending, reservation, live is not None)

    def release(self, reservation_id: str) -> Closed:
        """Give back what was reserved for a request that was never made; done twice, it is done once.

        Raises `UnknownReservation`, `AlreadyClosed` or `BeingSettled`.
        """
        if self._reservations.settling(reservation_id) is not None:
            raise BeingSettled(f"{reservation_id} is being settled")
        live = self._reservations.live(reservation_id)
        if live is None:
            closed = self._reservations.closed(reservation_id)
            if closed is None:
                raise UnknownReservation(reservation_id)
            if closed.fate != "released":
                raise AlreadyClosed(reservation_id, closed.fate)
            return closed
        self._reservations.take(live)
        live.give_back_pace(0)
        closed = Closed(live, "released")
        self._reservations.close(closed)
        return closed

    def expire(self, now_ms: int) -> list[Closing]:
        """Begin to charge the reservations that are due, those of one second, at their estimates.

        One that has no price is only let go: there is nothing to charge it at.
        """
        closings = []
        for reservation in self._reservations.due(now_ms):
            self._reservations.take(reservation)
            if reservation.estimate_nanousd is None:
                self._reservations.close(Closed(reservation, "expired"))
            else:
                closings.append(self._expire(reservation, reservation.estimate_nanousd, now_ms))
        return closings

    def confirm(self, closing: Closing, offset: int | None) -> None:
        """The closing's event is durable: at this offset of its partition, or (None) in the spool."""
        self._pending.place(closing.spending, offset)
        if closing.reservation is not None and closing.fate == "settled":
            self._reservations.settled(closing.reservation)
            self._reservations.close(Closed(closing.reservation, closing.fate, closing.cost_nanousd))
            if closing.was_live:
                closing.reservation.give_back_pace(closing.cost_nanousd)

    def undo(self, closing: Closing) -> None:
        """The closing's event was not kept: everything is as before."""
        self._pending.cancel(closing.spending)
        if closing.reservation is None:
            return
        if closing.fate == "settled":
            self._reservations.settled(closing.reservation)
        if not closing.was_live:
            return
        if closing.fate == "settled" or self._reservations.reopen(closing.reservation.id):
            self._reservations.add(closing.reservation)

    def _expire(self, reservation: Reservation, estimate_nanousd: int, now_ms: int) -> Closing:
        whose = reservation.ask
        expiry = Expiry(
            organization=whose.organization,
            project=whose.project,
            team=whose.team,
            user=whose.user,
            provider=whose.provider,
            model=whose.model,
            tags=whose.tags,
            reservation=reservation.id,
            estimate_usd=format_usd(estimate_nanousd),
        )
        event = ReservationExpired(
            id=f"{reservation.id}-expired", source=self._source(), time=from_ms(now_ms), data=expiry
        )
        spending = self._spend(whose, reservation.id, estimate_nanousd, now_ms)
        # Closed at once: its settlement may come while the expiry is still on its way to the ledger.
        self._reservations.close(Closed(reservation, "expired", estimate_nanousd))
        return Closing(whose.organization, event, "expired", estimate_nanousd, spending, reservation, True)

    def _spend(self, whose: Dimensions, reservation_id: str, amount: int, now_ms: int) -> Spending:
        """Count an amount in the windows in which it was reserved, as the ledger will."""
        parsed = ReservationId.parse(reservation_id)
        at_ms = now_ms if parsed is None else parsed.reserved_at_ms
        organization = self._directory.organization(whose.organization)
        return self._pending.open(organization.partition, amount, organization.route(whose, at_ms).standings)

    def _find(self, reservation_id: str) -> Reservation | None:
        found = self._reservations.live(reservation_id) or self._reservations.settling(reservation_id)
        if found is not None:
            return found
        closed = self._reservations.closed(reservation_id)
        return None if closed is None else closed.reservation


def _require_in_time(reservation_id: str, now_ms: int) -> None:
    """Raise `OutOfTime` for a reservation whose settlement the ledger does not take any more, or not yet."""
    parsed = ReservationId.parse(reservation_id)
    if parsed is None:
        return
    age_ms = now_ms - parsed.reserved_at_ms
    if age_ms > HORIZON_MS:
        raise OutOfTime("late", f"the reservation is older than {HORIZON_MS // 3_600_000} h")
    if -age_ms > FUTURE_TOLERANCE_MS:
        raise OutOfTime("future", f"the reservation was made {-age_ms // 1000} s ahead of the ledger's clock")
