"""When each request of a trace is played: its timestamps moved to now, its hours squeezed into minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.cli.trace import TraceRow, span_us

US_PER_S = 1_000_000
FIRST_TOKEN_S = 0.3
PER_TOKEN_S = 0.015


@dataclass(frozen=True, slots=True)
class Pace:
    """`speed` is how many seconds of the trace pass in one of ours; None plays as fast as the gateway can."""

    first_us: int
    speed: float | None

    @classmethod
    def within(cls, rows: Sequence[TraceRow], seconds: float) -> Pace:
        """The pace that plays a whole trace in so many seconds."""
        return cls(rows[0].at_us, max(span_us(rows) / US_PER_S / seconds, 1e-6))

    def due_s(self, row: TraceRow) -> float:
        """Seconds after the start at which a request comes."""
        return 0.0 if self.speed is None else (row.at_us - self.first_us) / US_PER_S / self.speed

    def call_s(self, row: TraceRow) -> float:
        """How long its model takes, as long as it is played."""
        return 0.0 if self.speed is None else call_seconds(row.output_tokens) / self.speed


def call_seconds(output_tokens: int) -> float:
    """How long a model takes for an answer, roughly: 0.3 s to the first token, then 15 ms a token."""
    return FIRST_TOKEN_S + PER_TOKEN_S * output_tokens


def output_cap(output_tokens: int) -> int:
    """The `max_output_tokens` a careful caller would have set: the next power of two, at least 64.

    So an answer never breaks its cap, and what is settled is never more than what was reserved.
    """
    return max(64, 1 << (output_tokens - 1).bit_length()) if output_tokens else 64
