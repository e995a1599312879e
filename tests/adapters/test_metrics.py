"""Every metric that code may name is described: one that is not would end the process that first counts it."""

from __future__ import annotations

from typing import get_args

from services.adapters.metrics import DEFINITIONS, CounterName, GaugeName, HistogramName


def test_every_name_has_its_definition() -> None:
    names = {*get_args(CounterName), *get_args(GaugeName), *get_args(HistogramName)}
    assert names == set(DEFINITIONS)
