"""What usage does to the balances: counted once, corrected where it was counted."""

from __future__ import annotations

from services.core.application import Application, cost_nanousd
from services.core.audit_text import json_text
from services.core.balance import FUTURE_TOLERANCE_MS
from services.core.events import Correction, Dimensions, ReservationExpired, UsageCorrected, UsageRecorded, to_ms
from services.core.money import MoneyError
from services.core.posting import charge_difference, charge_usage
from services.core.pricing import InconsistentUsage, Price
from services.core.rejection import Reason, Refused
from services.core.reservation import ReservationId
from services.core.seen import Settlement
from services.core.usage_price import price_usage

EARLIEST_CHARGE_MS = 1_420_070_400_000
"""2015: no call to a language model is older, and the table of charges takes none that is."""

STATED = "stated"
"""The price version of a cost that the provider said itself."""


def apply_usage(to: Application, event: UsageRecorded, index: int) -> None:
    """Count a request; or, if its reservation was charged unconfirmed, correct that charge. Raises Refused."""
    usage = event.data
    if to.duplicate(event):
        return
    settlement = None
    spender = None
    at_ms = occurred_ms = to_ms(event.time)
    if usage.reservation is not None:
        settlement = to.state.seen.reservation(usage.organization, usage.reservation)
        if settlement is not None and settlement.final:
            to.effects.counts["duplicate"] += 1
            return
        reserved = ReservationId.parse(usage.reservation)
        if reserved is not None:
            spender, at_ms = reserved.enforcer, reserved.reserved_at_ms
    to.check_time(occurred_ms)
    if settlement is None and at_ms != occurred_ms:
        to.check_time(at_ms)
    price, version = _price(to, event, occurred_ms)
    if settlement is not None and settlement.dimensions is not None:
        _settle_after_all(to, event, index, settlement, settlement.dimensions, spender, price, version)
    else:
        _count(to, event, index, at_ms, spender, price, version)
    if usage.reservation is not None:
        cost = 0 if price is None else price.total_nanousd
        final = Settlement(cost_nanousd=cost, final=True, offset=to.offset, reserved_at_ms=at_ms)
        to.remember_reservation(usage.organization, usage.reservation, final)
    to.remember(event)


def apply_expiry(to: Application, event: ReservationExpired, index: int) -> None:
    """Charge a reservation that nobody settled at its estimate, unconfirmed. Raises Refused."""
    expiry = event.data
    if to.duplicate(event):
        return
    if to.state.seen.reservation(expiry.organization, expiry.reservation) is not None:
        to.effects.counts["duplicate"] += 1
        return
    reserved = ReservationId.parse(expiry.reservation)
    at_ms = to_ms(event.time) if reserved is None else reserved.reserved_at_ms
    spender = None if reserved is None else reserved.enforcer
    to.check_time(at_ms)
    estimate = cost_nanousd(expiry.estimate_usd, "data.estimate_usd")
    whose = plain_dimensions(expiry)
    cells = to.state.cells(whose, at_ms)
    to.change(cells, whose.organization, at_ms, estimate, spender, unconfirmed=estimate, requests=1)
    to.effects.charges.append(
        charge_difference(
            "unconfirmed", event, whose, at_ms, estimate, estimate, to.state.price_version, to.place(index)
        )
    )
    unconfirmed = Settlement(
        cost_nanousd=estimate,
        final=False,
        offset=to.offset,
        reserved_at_ms=at_ms,
        dimensions=whose,
        counted=tuple(cell.key for cell in cells),
    )
    to.remember_reservation(expiry.organization, expiry.reservation, unconfirmed)
    to.remember(event)


def apply_correction(to: Application, event: UsageCorrected, index: int) -> None:
    """Change a charge in what is still kept of the windows it belongs to, past the horizon too. Raises Refused."""
    correction = event.data
    if to.duplicate(event):
        return
    to.check_time(to_ms(event.time))
    at_ms = to_ms(correction.charged_at)
    if at_ms - to.clock_ms > FUTURE_TOLERANCE_MS:
        raise Refused(Reason.FUTURE, "the charge to correct lies in the future", "data.charged_at")
    if at_ms < EARLIEST_CHARGE_MS:
        raise Refused(Reason.INVALID_TIME, "no charge is older than 2015", "data.charged_at")
    cost = cost_nanousd(correction.cost_usd, "data.cost_usd")
    previous = cost_nanousd(correction.previous_cost_usd or "0", "data.previous_cost_usd")
    cells = to.state.cells_of_charge(correction, at_ms, to.clock_ms, charged_at_offset=_offset_of(correction))
    unpriced = -1 if correction.previous_cost_usd is None else 0
    to.change(cells, correction.organization, at_ms, cost - previous, None, unpriced=unpriced)
    to.effects.charges.append(
        charge_difference("correction", event, correction, at_ms, cost - previous, 0, STATED, to.place(index))
    )
    to.audit(
        index,
        "usage.corrected",
        correction.charge,
        organization=correction.organization,
        by=event.source,
        reason=correction.reason,
        before=json_text({"cost_usd": correction.previous_cost_usd}),
        after=json_text({"cost_usd": correction.cost_usd}),
    )
    to.remember(event)


def plain_dimensions(whose: Dimensions) -> Dimensions:
    """The dimensions alone of a struct that carries more."""
    return Dimensions(**{name: getattr(whose, name) for name in Dimensions.__struct_fields__})


def _count(
    to: Application,
    event: UsageRecorded,
    index: int,
    at_ms: int,
    spender: str | None,
    price: Price | None,
    price_version: str,
) -> None:
    usage = event.data
    cells = to.state.cells(usage, at_ms)
    if price is None:
        to.effects.counts["unpriced"] += 1
        for cell in cells:
            cell.balance.unpriced += 1
        to.tell_unpriced(cells, usage.organization, usage.model)
    to.count(cells, usage.organization, at_ms, 0 if price is None else price.total_nanousd, spender)
    to.effects.charges.append(charge_usage(event, at_ms, price, price_version, to.place(index)))


def _settle_after_all(
    to: Application,
    event: UsageRecorded,
    index: int,
    settlement: Settlement,
    whose: Dimensions,
    spender: str | None,
    price: Price | None,
    price_version: str,
) -> None:
    """Correct an unconfirmed charge where it was counted. Without a price its estimate stands."""
    at_ms, estimate = settlement.reserved_at_ms, settlement.cost_nanousd
    difference = 0 if price is None else price.total_nanousd - estimate
    confirmed = 0 if price is None else estimate
    cells = to.state.cells_counted(whose, at_ms, to.clock_ms, settlement.counted)
    to.change(cells, whose.organization, at_ms, difference, spender, unconfirmed=-confirmed)
    to.effects.charges.append(
        charge_difference("adjustment", event, whose, at_ms, difference, -confirmed, price_version, to.place(index))
    )


def _price(to: Application, event: UsageRecorded, occurred_ms: int) -> tuple[Price | None, str]:
    usage = event.data
    try:
        price = price_usage(usage, to.state.prices, occurred_ms)
    except MoneyError as error:
        raise Refused(Reason.INVALID_MONEY, str(error), "data.cost_usd") from error
    except InconsistentUsage as error:
        raise Refused(Reason.INCONSISTENT_USAGE, str(error)) from error
    if usage.cost_usd is not None:
        return price, STATED
    return price, "" if price is None else to.state.price_version


def _offset_of(correction: Correction) -> int:
    """The ledger offset in a charge's id, `partition-offset-index`; -1 for an id that is none of ours."""
    parts = correction.charge.split("-")
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() and len(parts[1]) < 19 else -1
