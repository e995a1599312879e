"""Time, moved and squeezed; and caps that no answer of the trace breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.pace import Pace, output_cap
from services.cli.tally import percentiles
from services.cli.trace import TraceRow


def row(at_s: float, output_tokens: int = 100) -> TraceRow:
    return TraceRow("t", 1, int(at_s * 1_000_000), 1, output_tokens)


def test_a_trace_fits_into_the_seconds_it_is_given() -> None:
    pace = Pace.within([row(1000), row(1900), row(4600)], 60)
    assert [pace.due_s(row(at)) for at in (1000, 1900, 4600)] == pytest.approx([0, 15, 60])
    assert pace.call_s(row(0, 100)) == pytest.approx(1.8 / 60)


def test_without_a_speed_everything_is_due_at_once() -> None:
    pace = Pace(0, None)
    assert (pace.due_s(row(5000)), pace.call_s(row(0))) == (0, 0)


def test_a_trace_of_one_instant_is_due_at_once() -> None:
    assert Pace.within([row(7), row(7)], 75).due_s(row(7)) == 0


@given(st.integers(0, 1_000_000))
def test_no_answer_breaks_its_cap_and_no_cap_is_wasteful(output_tokens: int) -> None:
    cap = output_cap(output_tokens)
    assert cap >= output_tokens
    assert cap == 64 or cap < 2 * output_tokens


@given(st.lists(st.integers(0, 10**10), min_size=1))
def test_percentiles_are_measured_values(latencies_ns: list[int]) -> None:
    found = percentiles(latencies_ns)
    measured = {round(ns / 1_000_000, 3) for ns in latencies_ns}
    assert {found.p50, found.p99} <= measured
    assert found.p50 <= found.p99


def test_percentiles_by_nearest_rank() -> None:
    found = percentiles([ms * 1_000_000 for ms in range(1, 201)])
    assert (found.p50, found.p99, found.count) == (100, 198, 200)
    assert percentiles([]).count == 0
