"""What the enforcer settles, the ledger counts; a reservation too old or yet to be made is refused before."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.core.balance import FUTURE_TOLERANCE_MS, HORIZON_MS
from services.core.fold import fold
from services.core.pricing import PriceBook
from services.core.record import Record
from services.core.reservation import ReservationId
from services.core.state import LedgerState
from services.enforcer.closings import Closing
from services.enforcer.engine import Engine
from services.enforcer.errors import OutOfTime
from services.enforcer.report import Report

NOW_MS = 1_790_000_000_000


def new_engine() -> Engine:
    engine = Engine("e", PriceBook.bundled(), lambda *_: 0, reservation_ttl_ms=60_000, reservations_max=10)
    engine.partitions, engine.standings.restored = 1, True
    return engine


def report(age_ms: int) -> Report:
    """Of a reservation that another enforcer made so long ago."""
    reservation = str(ReservationId("other", NOW_MS - age_ms, 1))
    return Report(reservation=reservation, organization="acme", model="gpt-4o", input_tokens=1, output_tokens=1)


@given(st.integers(-2 * FUTURE_TOLERANCE_MS, 2 * HORIZON_MS))
@example(HORIZON_MS)
@example(HORIZON_MS + 1)
@example(-FUTURE_TOLERANCE_MS)
@example(-FUTURE_TOLERANCE_MS - 1)
def test_what_is_settled_is_counted_by_the_ledger(age_ms: int) -> None:
    engine = new_engine()
    if age_ms > HORIZON_MS or age_ms < -FUTURE_TOLERANCE_MS:
        with pytest.raises(OutOfTime) as refused:
            engine.closings.settle(report(age_ms), NOW_MS)
        assert refused.value.reason == ("late" if age_ms > 0 else "future")
        assert engine.standings.local == {}
        return
    closing = engine.closings.settle(report(age_ms), NOW_MS)
    assert isinstance(closing, Closing)
    effects = fold(LedgerState(0, engine.prices), Record(0, 0, NOW_MS, msgspec.json.encode([closing.event])))
    assert (len(effects.charges), effects.rejections) == (1, [])


@pytest.mark.parametrize("name", ["mine", "rsv-e-0", "rsv-other-zzzzzzzzz"])
def test_a_name_that_tells_no_time_is_of_now(name: str) -> None:
    usage = Report(reservation=name, organization="acme", model="gpt-4o", input_tokens=1, output_tokens=1)
    assert isinstance(new_engine().closings.settle(usage, NOW_MS), Closing)
