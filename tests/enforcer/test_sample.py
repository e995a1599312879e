"""The sample of plain allows that is published."""

from __future__ import annotations

from services.enforcer.sample import Sample

NAMES = [f"dec-{number}" for number in range(20_000)]


def test_it_is_a_function_of_the_id_and_as_large_as_asked() -> None:
    sample = Sample(0.01)
    sampled = [name for name in NAMES if sample.has(name)]
    assert 150 <= len(sampled) <= 250
    assert sampled == [name for name in NAMES if Sample(0.01).has(name)]


def test_it_may_be_everything_and_nothing() -> None:
    assert all(map(Sample(1).has, NAMES))
    assert not any(map(Sample(0).has, NAMES))
