"""Watches the hourly spending of one scope: says when it is unlike its own past, once an episode and when it worsens."""

from __future__ import annotations

from typing import Final, Self

import msgspec
from msgspec import Struct, field

from services.core.anomaly.finding import Finding, Kind
from services.core.anomaly.peaks import Peaks
from services.core.anomaly.sensitivity import DEFAULT, Sensitivity
from services.core.anomaly.usual import HOURS_A_DAY, WARM_HOURS, Usual

HOUR_MS: Final = 3_600_000
GAP_HOURS_MAX: Final = 35 * HOURS_A_DAY
"""After a longer silence only so many hours of it are counted: by then a scope's usual is to spend nothing."""
_VERSION: Final = 1


class StateError(ValueError):
    """Bytes that are no detector's state, or of a version that this release does not read: feed a new one the past."""


class _Episode(Struct, array_like=True):
    """What is going on: since when, what it took, and what was said of it."""

    begin_ms: int
    observed: int = 0
    expected: float = 0.0
    quiet_hours: int = 0
    told: int = 0


class _State(Struct, array_like=True):
    version: int
    settings: Sensitivity
    last_hour: int | None = None
    usual: Usual = field(default_factory=Usual)
    hour_peaks: Peaks = field(default_factory=Peaks)
    drift_peaks: Peaks = field(default_factory=Peaks)
    drift: float = 0.0
    drift_hours: int = 0
    drift_observed: int = 0
    drift_expected: float = 0.0
    episode: _Episode | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class Detector:
    """One scope. Fed hour by hour; equal hours give equal findings, whenever it was dumped and loaded in between."""

    __slots__ = ("_state",)

    def __init__(self, settings: Sensitivity = DEFAULT) -> None:
        self._state = _State(_VERSION, settings)

    @property
    def last_hour_ms(self) -> int | None:
        """The hour that was fed last; None before the first."""
        return None if self._state.last_hour is None else self._state.last_hour * HOUR_MS

    def update(self, hour_ms: int, amount_nanousd: int) -> Finding | None:
        """Feed what was spent in the hour that begins at `hour_ms`: UTC milliseconds, hours in order, gaps are zeros.

        A negative amount (a correction) counts as nothing spent. Raises `ValueError` for a time that is no full hour, or
        not after the last.
        """
        hour, rest = divmod(hour_ms, HOUR_MS)
        if rest:
            raise ValueError(f"{hour_ms} is not the beginning of an hour in UTC milliseconds")
        last = self._state.last_hour
        if last is not None:
            if hour <= last:
                raise ValueError(f"hour {hour_ms} is not after {last * HOUR_MS}: feed a scope's hours in order")
            for silent in range(max(last + 1, hour - GAP_HOURS_MAX), hour):
                self._step(silent, 0)
        return self._step(hour, max(0, amount_nanousd))

    def dump(self) -> bytes:
        """The whole state, to go on from later."""
        return _encode(self._state)

    @classmethod
    def load(cls, data: bytes) -> Self:
        """A detector that goes on where the dumped one was. Raises `StateError`."""
        try:
            state = _decode(data)
        except (msgspec.MsgspecError, ValueError) as error:
            raise StateError(f"this is no detector's state ({error}): start a new one and feed it the past") from error
        if state.version != _VERSION:
            raise StateError(f"state version {state.version} is not {_VERSION}: start a new one and feed it the past")
        loaded = cls.__new__(cls)
        loaded._state = state
        return loaded

    def _step(self, hour: int, amount: int) -> Finding | None:
        state = self._state
        state.last_hour = hour
        expected, strayed = state.usual.read(hour, amount)
        self._accumulate(amount, expected, strayed)
        spike = state.hour_peaks.measure(max(0.0, strayed), 3.0)
        shift = state.drift_peaks.measure(state.drift, 3.0)
        if state.usual.hours <= WARM_HOURS:
            return None
        kind: Kind = "spike" if spike >= shift else "shift"
        return self._judge(hour, amount, expected, max(spike, shift), kind)

    def _accumulate(self, amount: int, expected: float, strayed: float) -> None:
        """The cumulated sum of deviations beyond one: small but lasting ones add up, passing ones fade."""
        state = self._state
        state.drift = max(0.0, 0.97 * state.drift + min(strayed, 5.0) - 1.0)
        if state.drift == 0:
            state.drift_hours = state.drift_observed = 0
            state.drift_expected = 0.0
            return
        state.drift_hours += 1
        state.drift_observed += amount
        state.drift_expected += expected

    def _judge(self, hour: int, amount: int, expected: float, score: float, kind: Kind) -> Finding | None:
        state = self._state
        unusual = score >= state.settings.threshold and amount > expected
        episode = state.episode
        if episode is None:
            if not unusual:
                return None
            episode = _Episode(hour * HOUR_MS)
            if kind == "shift":
                episode.begin_ms = (hour - state.drift_hours + 1) * HOUR_MS
                episode.observed, episode.expected = state.drift_observed, state.drift_expected
            else:
                episode.observed, episode.expected = amount, expected
        else:
            episode.observed += amount
            episode.expected += expected
            episode.quiet_hours = 0 if unusual else episode.quiet_hours + 1
            if episode.quiet_hours >= state.settings.cooldown_hours:
                state.episode = None
                return None
        excess = episode.observed - round(episode.expected)
        if not unusual or excess < self._least(episode.told):
            return None
        episode.told = excess
        state.episode = episode
        return Finding(episode.begin_ms, hour * HOUR_MS, episode.observed, round(episode.expected), score, kind)

    def _least(self, told: int) -> float:
        """The excess from which on something is worth telling, in nano-dollars."""
        settings = self._state.settings
        if told:
            return settings.escalation * told
        return max(settings.effect_nanousd, settings.effect_share * HOURS_A_DAY * self._state.usual.mean)
