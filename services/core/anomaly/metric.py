"""How unusual a reading of any metric is (requests, tokens, latency), at any step, in either direction.

Spending has hours of the week and money; a metric may have neither. What both are judged by is the same: a robust
deviation now, deviations that last, and the past as the measure of both. Here the deviation is the distance from the
median of the last week, in the week's median distances. A score is the geometric mean of two views, so both must be
high: that deviation, and its mean over the last hour; each over its own 99% quantile.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Final

_HOUR_S: Final = 3600
_WEEK_S: Final = 168 * _HOUR_S
_QUIET_S: Final = 72 * _HOUR_S
_LEAST_READINGS: Final = 20
_LEAST_SCORES: Final = 144
_QUANTILE: Final = 0.99
_DEVIATIONS: Final = 1.4826
"""Median distances in a standard deviation of normal noise."""
_FLAT: Final = 0.01
"""No deviation is taken to be smaller than this part of the usual reading."""
_CLIP: Final = 6.0
_RATIO_MOST: Final = 20.0


class Recent:
    """The last readings, and any quantile of them."""

    def __init__(self, most: int) -> None:
        self._order: deque[float] = deque()
        self._ranked: list[float] = []
        self._most = most

    def __len__(self) -> int:
        return len(self._order)

    def add(self, value: float) -> None:
        """One more; the oldest goes when there are too many."""
        self._order.append(value)
        insort(self._ranked, value)
        if len(self._order) > self._most:
            del self._ranked[bisect_left(self._ranked, self._order.popleft())]

    def quantile(self, part: float) -> float:
        """The reading that this part of the others lies below, between two of them in proportion."""
        at = part * (len(self._ranked) - 1)
        low = math.floor(at)
        return self._ranked[low] + (at - low) * (self._ranked[math.ceil(at)] - self._ranked[low])


class _Own:
    """Divides a score by its own high quantile so far."""

    def __init__(self, readings: int) -> None:
        self._past = Recent(readings)

    def measure(self, score: float) -> float:
        ratio = 0.0
        if len(self._past) >= _LEAST_SCORES:
            ratio = score / max(self._past.quantile(_QUANTILE), 1e-6)
        self._past.add(score)
        return min(_RATIO_MOST, ratio)


class MetricScorer:
    """One metric, read every `step_s` seconds. Its memory is two weeks of readings."""

    def __init__(self, step_s: int) -> None:
        if not 1 <= step_s <= _HOUR_S:
            raise ValueError("a metric is read at least once an hour, at most once a second")
        week = _WEEK_S // step_s
        self._values, self._distances, self._sizes = Recent(week), Recent(week), Recent(week)
        self._hour: deque[float] = deque(maxlen=_HOUR_S // step_s)
        self._now, self._lasting = _Own(2 * week), _Own(2 * week)
        self._quiet = _QUIET_S // step_s
        self._peaks: deque[tuple[int, float]] = deque()
        self._readings = 0

    def score(self, value: float) -> float:
        """How unusual this reading is; 0 unless it is the most unusual of three days: an episode alarms as it grows."""
        strayed = self._stray(value)
        self._hour.append(min(strayed, _CLIP))
        now = self._now.measure(strayed)
        lasting = self._lasting.measure(sum(self._hour) / len(self._hour))
        return self._onset(math.sqrt(now * lasting))

    def _stray(self, value: float) -> float:
        strayed = 0.0
        if len(self._values) >= _LEAST_READINGS:
            distance = abs(value - self._values.quantile(0.5))
            if len(self._distances) >= _LEAST_READINGS:
                flat = _FLAT * self._sizes.quantile(0.5) + 1e-9
                strayed = distance / max(_DEVIATIONS * self._distances.quantile(0.5), flat)
            self._distances.add(distance)
        self._values.add(value)
        self._sizes.add(abs(value))
        return strayed

    def _onset(self, score: float) -> float:
        at, peaks = self._readings, self._peaks
        self._readings += 1
        while peaks and peaks[0][0] <= at - self._quiet:
            peaks.popleft()
        highest = peaks[0][1] if peaks else 0.0
        while peaks and peaks[-1][1] <= score:
            peaks.pop()
        peaks.append((at, score))
        return score if score > highest else 0.0
