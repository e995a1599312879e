"""What a forecasting model is to the ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.core.forecast.series import DailySeries, Floats


class Voice(Protocol):
    """A model from outside the core, as Prophet is."""

    @property
    def name(self) -> str:
        """What `Projection.models` calls it."""

    def paths(self, series: Sequence[DailySeries], days: int) -> Floats:
        """The expected amount of each of the `days` days after each series ends, in nano-dollars: [series, day].

        A row of NaN says that the model has nothing to say about that series, which is then left to the others.
        """
