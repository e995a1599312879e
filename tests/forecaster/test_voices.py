"""A slow model is asked once about each past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.core.forecast import DailySeries
from services.forecaster.settings import ForecasterSettings
from services.forecaster.voices import Remembering, voices_of


class Slow:
    """Says the mean of each series, and counts what it was asked."""

    name = "slow"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def paths(self, series: Sequence[DailySeries], days: int) -> NDArray[np.float64]:
        self.asked += [each.scope for each in series]
        return np.array([[each.amounts_nanousd.mean()] * days for each in series])


def series(scope: str, *amounts: int) -> DailySeries:
    return DailySeries(scope, date(2026, 11, 1), np.array(amounts, dtype=np.int64))


def test_only_what_has_changed_is_asked_again() -> None:
    slow = Slow()
    voice = Remembering(slow)
    first = voice.paths([series("a", 1, 3), series("b", 4, 6)], 2)
    again = voice.paths([series("b", 4, 6), series("a", 1, 3)], 2)
    assert (first.tolist(), again.tolist()) == ([[2, 2], [5, 5]], [[5, 5], [2, 2]])
    assert slow.asked == ["a", "b"]
    assert voice.paths([series("a", 1, 5), series("b", 4, 6)], 2).tolist() == [[3, 3], [5, 5]]
    assert slow.asked == ["a", "b", "a"]
    assert voice.paths([series("b", 4, 6)], 3).tolist() == [[5, 5, 5]]
    assert slow.asked == ["a", "b", "a", "b"]
    assert (voice.name, voice.paths([], 3).shape) == ("slow", (0, 3))


def test_what_is_remembered_is_bounded() -> None:
    slow = Slow()
    voice = Remembering(slow, most=2)
    for scope in "abca":
        voice.paths([series(scope, 1)], 1)
    assert slow.asked == ["a", "b", "c", "a"]


def test_prophet_can_be_left_out() -> None:
    assert voices_of(ForecasterSettings(prophet_processes=0)) == ()
    assert [voice.name for voice in voices_of(ForecasterSettings(prophet_processes=2))] == ["prophet"]
