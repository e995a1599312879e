"""Organizations that share a ledger partition cannot touch one another's sums, whatever names their events choose."""

from __future__ import annotations

from services.core.reservation import ReservationId
from tests.core.ledger import NOON_MS, costing, expiry, record, run, settled

MONTH = "org:{}@month:2026-11"
RESERVATION = str(ReservationId("enf1", NOON_MS, 1))


def test_a_name_used_by_another_organization_is_no_duplicate() -> None:
    state, effects = run([record(0, costing("0", organization="other")), record(1, costing("5"))])
    assert effects.counts["duplicate"] == 0
    assert settled(state)[MONTH.format("acme")] == 5_000_000_000


def test_a_reservation_settled_by_another_organization_is_still_to_be_settled() -> None:
    foreign = costing("0", "e1", organization="other", reservation=RESERVATION)
    state, effects = run([record(0, foreign), record(1, costing("5", "e2", reservation=RESERVATION))])
    assert effects.counts["duplicate"] == 0
    assert settled(state)[MONTH.format("acme")] == 5_000_000_000


def test_an_unconfirmed_charge_is_not_corrected_by_another_organization() -> None:
    foreign = costing("1", organization="other", reservation=RESERVATION)
    state, effects = run([record(0, expiry(RESERVATION, "10")), record(1, foreign)])
    assert settled(state)[MONTH.format("acme")] == 10_000_000_000
    assert settled(state)[MONTH.format("other")] == 1_000_000_000
    assert [charge.kind for charge in effects.charges] == ["unconfirmed", "usage"]


def test_no_organization_can_be_called_so_that_its_names_are_another_ones() -> None:
    first = costing("1", organization="ab", source="c")
    second = costing("2", organization="a", source="bc")
    _, effects = run([record(0, first, second)])
    assert effects.counts["duplicate"] == 0
