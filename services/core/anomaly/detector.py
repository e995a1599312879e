"""Watches one scope's hourly spending: tells what is unlike its own past, once an episode and when it worsens."""

from __future__ import annotations

import zlib
from typing import Final, Self

import msgspec
from msgspec import Struct, field

from services.core.anomaly.episode import Episode, begun, shape
from services.core.anomaly.finding import Finding
from services.core.anomaly.peaks import Peaks
from services.core.anomaly.sensitivity import DEFAULT, Sensitivity
from services.core.anomaly.usual import HOURS_A_DAY, WARM_HOURS, Usual

HOUR_MS: Final = 3_600_000
AMOUNT_NANOUSD_MAX: Final = 10**16
"""Ten million dollars in one hour. More is a mistake in whatever was summed."""
GAP_HOURS_MAX: Final = 35 * HOURS_A_DAY
"""Of a longer silence only so many hours are counted: by then it is usual to spend nothing."""
KEPT_HOURS: Final = 72
"""How far back an episode may have begun, and how long one may last before it is what the scope usually does."""
SPARSE: Final = 0.3
"""A scope that spends in fewer of its hours is not judged by single ones, as each of them would be a spike. Its days
differ too, so an effect must be twice as large a part of one."""

_VERSION: Final = 1
_HEADER: Final = 5
"""A state begins with its version, one byte, and the check sum of the rest."""
_BUSY_RATE: Final = 0.01
_DRIFT_FADES: Final = 0.97
_DRIFT_SLACK: Final = 1.0
_DRIFT_STEP_MAX: Final = 5.0
# No usual peak is taken to be lower, so that a scope as regular as a clock does not alarm at a tick.
_HOUR_LEAST: Final = 3.0
_DAY_LEAST: Final = 2.5
_DRIFT_LEAST: Final = 4.0
_GROWTH_MAX: Final = 100.0


class StateError(ValueError):
    """Bytes that are no detector's state, or of a version that this release does not read."""


class _State(Struct, array_like=True):
    """Everything a detector knows: a few kilobytes, however long it has been watching."""

    settings: Sensitivity
    last_hour: int | None = None
    observed: list[int] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    """Of the last `KEPT_HOURS`, the last hour last."""
    busy: float = 1.0
    hour: Usual = field(default_factory=Usual)
    hour_peaks: Peaks = field(default_factory=Peaks)
    day: Usual = field(default_factory=Usual)
    day_peaks: Peaks = field(default_factory=Peaks)
    drift: float = 0.0
    drift_peaks: Peaks = field(default_factory=Peaks)
    episode: Episode | None = None
    closed_hour: int | None = None
    """The last hour of the episode before: the next one begins later."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class Detector:
    """Fed hour by hour, it compares each hour, the day that ends with it, and how deviations add up, with the past.

    Equal hours give equal findings, wherever it was dumped and loaded in between.
    """

    __slots__ = ("_state",)

    def __init__(self, settings: Sensitivity = DEFAULT) -> None:
        self._state = _State(settings)

    @property
    def last_hour_ms(self) -> int | None:
        """The hour that was fed last; None before the first."""
        return None if self._state.last_hour is None else self._state.last_hour * HOUR_MS

    def update(self, hour_ms: int, amount_nanousd: int) -> Finding | None:
        """Feed what was spent in the hour that begins at `hour_ms`, in UTC. Hours come in order; gaps are zeros.

        A negative amount (a correction) counts as nothing spent. Raises `ValueError` for a time that is no full hour
        or not after the last, and for an amount beyond `AMOUNT_NANOUSD_MAX`; the state is then as before.
        """
        hour, rest = divmod(hour_ms, HOUR_MS)
        last = self._state.last_hour
        if rest:
            raise ValueError(f"{hour_ms} is not the beginning of an hour in UTC milliseconds")
        if last is not None and hour <= last:
            raise ValueError(f"hour {hour_ms} is not after {last * HOUR_MS}: feed a scope's hours in order, each once")
        if amount_nanousd > AMOUNT_NANOUSD_MAX:
            raise ValueError(f"{amount_nanousd} nano-dollars in one hour is more than {AMOUNT_NANOUSD_MAX}")
        if last is not None:
            for silent in range(max(last + 1, hour - GAP_HOURS_MAX), hour):
                self._step(silent, 0)
        return self._step(hour, max(0, amount_nanousd))

    def dump(self) -> bytes:
        """The whole state, to go on from later."""
        body = _encode(self._state)
        return bytes([_VERSION]) + zlib.crc32(body).to_bytes(_HEADER - 1, "big") + body

    @classmethod
    def load(cls, data: bytes, settings: Sensitivity | None = None) -> Self:
        """A detector that goes on where the dumped one was; with other settings if given. Raises `StateError`."""
        if data[:1] != bytes([_VERSION]):
            raise StateError(f"this is no state of version {_VERSION}: start a new detector and feed it the last weeks")
        if zlib.crc32(data[_HEADER:]).to_bytes(_HEADER - 1, "big") != data[1:_HEADER]:
            raise StateError("this state is damaged: start a new detector and feed it the last weeks")
        loaded = cls()
        loaded._state = _decode(data[_HEADER:])
        if settings is not None:
            loaded._state.settings = settings
        return loaded

    def _step(self, hour: int, amount: int) -> Finding | None:
        state = self._state
        state.last_hour = hour
        expected, score = self._score(hour, amount)
        state.expected.append(expected)
        if len(state.observed) > KEPT_HOURS:
            del state.observed[0], state.expected[0]
        if state.hour.hours <= WARM_HOURS:
            return None
        unusual = score >= state.settings.threshold
        if state.episode is not None:
            return self._go_on(state.episode, hour, score, unusual=unusual)
        if not unusual:
            return None
        since = KEPT_HOURS if state.closed_hour is None else hour - state.closed_hour
        found = begun(hour, state.observed[-since:], state.expected[-since:])
        if found.excess_nanousd < self._effect_nanousd():
            return None
        state.episode = found
        return self._tell(found, hour, score)

    def _score(self, hour: int, amount: int) -> tuple[float, float]:
        """What was expected of this hour, and how far above its own usual peaks the scope is."""
        state = self._state
        state.observed.append(amount)
        state.busy += _BUSY_RATE * ((amount > 0) - state.busy)
        expected, strayed = state.hour.read(hour, amount)
        now = state.hour_peaks.measure(max(0.0, strayed), _HOUR_LEAST)
        _, day_strayed = state.day.read(hour, sum(state.observed[-HOURS_A_DAY:]))
        day = state.day_peaks.measure(max(0.0, day_strayed), _DAY_LEAST)
        # The cumulated sum of deviations beyond one: small but lasting ones add up, passing ones fade.
        state.drift = max(0.0, _DRIFT_FADES * state.drift + min(strayed, _DRIFT_STEP_MAX) - _DRIFT_SLACK)
        drift = state.drift_peaks.measure(state.drift, _DRIFT_LEAST)
        return expected, max(now if state.busy > SPARSE else 0.0, day, drift)

    def _go_on(self, episode: Episode, hour: int, score: float, *, unusual: bool) -> Finding | None:
        state = self._state
        episode.go_on(state.observed[-1], state.expected[-1], unusual=unusual)
        if episode.quiet_hours >= state.settings.cooldown_hours:
            self._close(hour)
        elif unusual and episode.excess_nanousd >= state.settings.escalation * episode.told_nanousd:
            return self._tell(episode, hour, score)
        elif unusual and episode.known_hours >= KEPT_HOURS:
            self._accept(hour)
        return None

    def _tell(self, episode: Episode, hour: int, score: float) -> Finding:
        state = self._state
        episode.told_nanousd = max(1, episode.excess_nanousd)
        hours = min(hour - episode.begin_hour + 1, KEPT_HOURS)
        kind = shape(state.observed[-hours:], state.expected[-hours:])
        expected = round(episode.expected_nanousd)
        return Finding(episode.begin_hour * HOUR_MS, hour * HOUR_MS, episode.observed_nanousd, expected, score, kind)

    def _accept(self, hour: int) -> None:
        """What has lasted so long is what the scope does now, as after a new price: go on from there."""
        state = self._state
        spent, usual = sum(state.observed[-HOURS_A_DAY:]), sum(state.expected[-HOURS_A_DAY:])
        growth = max(1.0, min(_GROWTH_MAX, spent / max(1.0, usual)))
        state.hour.rescale(growth)
        state.day.rescale(growth)
        state.drift = 0.0
        self._close(hour)

    def _close(self, hour: int) -> None:
        self._state.episode, self._state.closed_hour = None, hour

    def _effect_nanousd(self) -> float:
        """The excess from which on something is worth telling."""
        state, settings = self._state, self._state.settings
        days = 2 if state.busy < SPARSE else 1
        return max(settings.effect_nanousd, settings.effect_share * days * HOURS_A_DAY * state.hour.mean)
