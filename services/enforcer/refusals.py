"""How each refusal of the enforcer reads over HTTP: status, code, and what to do."""

from __future__ import annotations

from services.adapters.ledger import EventTooLarge, LedgerUnavailable, SpoolFull
from services.adapters.web_errors import ApiError
from services.core.money import MoneyError
from services.core.pricing import InconsistentUsage
from services.core.scope import ScopeError
from services.enforcer.errors import (
    AlreadyClosed,
    BeingSettled,
    OutOfTime,
    Restoring,
    TooManyReservations,
    UnknownReservation,
)

RETRY = {"Retry-After": "1"}
REFUSED = (
    AlreadyClosed,
    BeingSettled,
    EventTooLarge,
    InconsistentUsage,
    LedgerUnavailable,
    MoneyError,
    OutOfTime,
    Restoring,
    ScopeError,
    SpoolFull,
    TooManyReservations,
    UnknownReservation,
)


def refusal(error: Exception) -> ApiError:
    """The answer to one of `REFUSED`."""
    match error:
        case Restoring():
            return ApiError(503, "restoring", "the balances are being read; try again in a second", headers=RETRY)
        case TooManyReservations():
            return ApiError(
                503,
                "too_many_reservations",
                "too many requests are in flight: settle or release them, or raise SPENDGATE_RESERVATIONS_MAX",
                headers=RETRY,
            )
        case SpoolFull() | LedgerUnavailable():
            return ApiError(503, "ledger_unavailable", f"not settled, the reservation holds: {error}", headers=RETRY)
        case EventTooLarge():
            return ApiError(413, "event_too_large", f"not settled, the reservation holds: {error}; send fewer tags")
        case UnknownReservation() | BeingSettled() | AlreadyClosed() | OutOfTime():
            status, code, message = _about(error)
            return ApiError(status, code, message, field="reservation")
        case MoneyError():
            return ApiError(422, "invalid_field", str(error), field="cost_usd")
        case InconsistentUsage():
            return ApiError(422, "inconsistent_usage", str(error))
    return ApiError(422, "invalid_scope", str(error))


def _about(error: UnknownReservation | BeingSettled | AlreadyClosed | OutOfTime) -> tuple[int, str, str]:
    """What stands in the way of settling or releasing this reservation: status, code and message."""
    match error:
        case UnknownReservation():
            advice = (
                "this enforcer does not hold the reservation; settle it with organization, gen_ai.request.model and "
                "the other attributes of the usage, then it counts all the same"
            )
            return 404, "unknown_reservation", advice
        case BeingSettled():
            return 409, "reservation_settling", f"{error}: nothing to do"
        case AlreadyClosed():
            advice = "settle it with zero tokens if nothing was used" if error.fate == "expired" else "nothing to do"
            return 409, f"reservation_{error.fate}", f"{error}: {advice}"
    advice = "send the usage to ingest (POST /v1/events) without the reservation, then it counts all the same"
    return 422, f"reservation_{error.reason}", f"{error}: {advice}"
