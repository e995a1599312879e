"""What an operator can tell the steward."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.adapters.settings import Settings


class StewardSettings(Settings):
    """Settings of the steward beside those that all services share."""

    steward_look_s: Annotated[float, Field(ge=0.05, le=3600)] = Field(
        3.0, description="seconds between two looks at budgets that rules move money to"
    )
    steward_retry_s: Annotated[float, Field(ge=0.1, le=86_400)] = Field(
        30.0, description="seconds until a move that did not happen is asked for again"
    )
    steward_forecast_days: Annotated[int, Field(ge=1, le=30)] = Field(
        2, description="days of forecasts that are read at the start"
    )
