"""Scores a detector as the Numenta Anomaly Benchmark does: early hits count most, false alarms cost, silence is 0.

The rules are those of NAB 1.1 (Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms", 2015; numenta/NAB
on GitHub): each labelled window earns the credit of its earliest alarm, each alarm outside costs by its distance from
the window before it, each window without an alarm costs 1. The first 15% of a series (750 rows at most) are for
learning and are not scored. One threshold serves all series. 0 is a detector that never alarms, 100 a perfect one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROBATION: Final = 0.15
PROBATION_ROWS: Final = 750
FAR: Final = 3.0
"""An alarm so many window widths behind a window, or before any, is as false as one can be."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a false alarm and a missed window cost, where a window that is found at once earns 1."""

    false_alarm: float
    missed: float


STANDARD: Final = Profile(false_alarm=0.11, missed=1.0)
FEW_FALSE_ALARMS: Final = Profile(false_alarm=0.22, missed=1.0)
FEW_MISSED: Final = Profile(false_alarm=0.11, missed=2.0)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A series, its times in seconds, and its labelled windows as first and last row."""

    name: str
    at_s: NDArray[np.int64]
    values: Floats
    windows: tuple[tuple[int, int], ...]

    @property
    def learning_rows(self) -> int:
        """How many rows at the beginning are not scored."""
        return min(int(PROBATION * len(self.values)), PROBATION_ROWS)


@dataclass(frozen=True, slots=True)
class Scored:
    """What is achieved: NAB's raw score of each series, the normalised one over all, and plain counts."""

    raw: Mapping[str, float]
    normalised: float
    found: int
    windows: int
    false_alarms: int


def read_series(folder: Path) -> list[Labelled]:
    """The labelled series of a folder that holds `windows.json` and the files it names, in the order of their names."""
    labels: dict[str, list[list[str]]] = json.loads((folder / "windows.json").read_text("utf-8"))
    return [_read(folder, name, windows) for name, windows in sorted(labels.items())]


def _read(folder: Path, name: str, windows: list[list[str]]) -> Labelled:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        rows = [(_seconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    at_s = np.array([at for at, _ in rows], dtype=np.int64)
    values = np.array([value for _, value in rows], dtype=np.float64)
    row_of = {at: row for row, (at, _) in enumerate(rows)}
    return Labelled(name, at_s, values, tuple((row_of[_seconds(a)], row_of[_seconds(b)]) for a, b in windows))


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def worth(series: Labelled, profile: Profile = STANDARD) -> tuple[Floats, NDArray[np.int64]]:
    """What an alarm at each row earns, and the window that the row is in: -1 for none."""
    rows = np.arange(len(series.values))
    window_of = np.full(len(rows), -1, dtype=np.int64)
    position = np.full(len(rows), FAR)
    for window, (first, last) in enumerate(series.windows):
        width = last - first + 1
        position[first : last + 1] = -(last - rows[first : last + 1] + 1) / width
        position[last + 1 :] = (rows[last + 1 :] - last) / (width - 1)
        window_of[first : last + 1] = window
    credit = np.where(position >= FAR, -1.0, _sigmoid(position))
    return np.where(window_of >= 0, credit / _sigmoid(np.array(-1.0)), credit * profile.false_alarm), window_of


def _sigmoid(position: Floats) -> Floats:
    return np.asarray(2 / (1 + np.exp(5 * np.minimum(position, FAR))) - 1, dtype=np.float64)


def score(
    scores: Mapping[str, Floats], series: Sequence[Labelled], threshold: float, profile: Profile = STANDARD
) -> Scored:
    """What a detector's scores, by series, achieve when each row at or above the threshold is an alarm."""
    return _together([_alone(scores[one.name], one, threshold, profile) for one in series], profile)


@dataclass(frozen=True, slots=True)
class _Alone:
    name: str
    raw: float
    found: int
    windows: int
    false_alarms: int


def _alone(scores: Floats, series: Labelled, threshold: float, profile: Profile) -> _Alone:
    earned, window_of = worth(series, profile)
    rows = slice(series.learning_rows, None)
    earned, window_of, alarms = earned[rows], window_of[rows], scores[rows] >= threshold
    outside = alarms & (window_of < 0)
    raw, windows = float(earned[outside].sum()), set(window_of[window_of >= 0].tolist())
    hits = [earned[alarms & (window_of == window)] for window in sorted(windows)]
    raw += sum(float(hit.max()) if len(hit) else -profile.missed for hit in hits)
    return _Alone(series.name, raw, sum(len(hit) > 0 for hit in hits), len(windows), int(outside.sum()))


def _together(parts: Sequence[_Alone], profile: Profile) -> Scored:
    raw = {part.name: part.raw for part in parts}
    windows = sum(part.windows for part in parts)
    return Scored(
        raw=raw,
        normalised=normalise(sum(raw.values()), windows, profile),
        found=sum(part.found for part in parts),
        windows=windows,
        false_alarms=sum(part.false_alarms for part in parts),
    )


def normalise(raw: float, windows: int, profile: Profile = STANDARD) -> float:
    """A raw score on the scale from 0, a detector that never alarms, to 100, one that finds each window at once."""
    silent = -profile.missed * windows
    return 100 * (raw - silent) / (windows - silent)


def best_threshold(scores: Mapping[str, Floats], series: Sequence[Labelled], profile: Profile = STANDARD) -> float:
    """The threshold with the highest score over all series, of equal ones the highest; infinite if silence is best.

    Walks down the distinct scores once, as NAB's own sweep does, so nothing between them is missed.
    """
    values, earned, keys = _pooled(scores, series, profile)
    order = np.argsort(-values, kind="stable")
    best_of = np.full(int(keys.max(initial=-1)) + 1, -profile.missed)
    now = best = 0.0
    threshold = np.inf
    for place, row in enumerate(order):
        key = keys[row]
        if key < 0:
            now += earned[row]
        elif earned[row] > best_of[key]:
            now += earned[row] - best_of[key]
            best_of[key] = earned[row]
        last_of_its_value = place + 1 == len(order) or values[order[place + 1]] != values[row]
        if last_of_its_value and now > best:
            best, threshold = now, float(values[row])
    return float(threshold)


def _pooled(
    scores: Mapping[str, Floats], series: Sequence[Labelled], profile: Profile
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """The scored rows of all series together: score, worth, and a number of their window that no other series has."""
    values, earned, keys, before = [], [], [], 0
    for one in series:
        worths, window_of = worth(one, profile)
        rows = slice(one.learning_rows, None)
        values.append(scores[one.name][rows])
        earned.append(worths[rows])
        keys.append(np.where(window_of >= 0, window_of + before, -1)[rows])
        before += len(one.windows)
    return np.concatenate(values), np.concatenate(earned), np.concatenate(keys)


def leave_one_out(scores: Mapping[str, Floats], series: Sequence[Labelled], profile: Profile = STANDARD) -> Scored:
    """Each series at the threshold that is best for all the others: what a threshold found elsewhere is worth."""
    parts = []
    for one in series:
        threshold = best_threshold(scores, [other for other in series if other is not one], profile)
        parts.append(_alone(scores[one.name], one, threshold, profile))
    return _together(parts, profile)
