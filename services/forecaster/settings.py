"""What an operator can tell the forecaster."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from services.adapters.settings import Settings
from services.core.money import parse_usd

Usd = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]


class ForecasterSettings(Settings):
    """Settings of the forecaster beside those that all services share."""

    look_s: Annotated[float, Field(ge=0.1, le=3600)] = Field(
        30.0, description="seconds between two looks for new charges, and at the hour that is running"
    )
    forecast_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        600.0, description="seconds between two forecasts of an organization that goes on spending"
    )
    history_days: Annotated[int, Field(ge=28, le=800)] = Field(182, description="days of the past that are looked at")
    scopes_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, description="scopes that are forecast and watched of each level of an organization: the largest"
    )
    alert_above: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.8, description="tell of a budget when it will be exceeded with this probability"
    )
    rearm_below: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.6, description="tell again only after the probability has been below this one"
    )
    prophet_processes: Annotated[int, Field(ge=0, le=64)] = Field(
        1, description="processes in which Prophet joins in for organizations and projects; 0: it does not"
    )
    prophet_days: Annotated[int, Field(ge=14, le=800)] = Field(
        35, description="days of spending from which on Prophet is heard"
    )
    anomaly_effect_usd: Usd = Field("1", description="dollars above the usual below which nothing is an anomaly")
    anomaly_threshold: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, description="times a scope's own usual peak score from which on an hour is an anomaly"
    )
    settle_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        300.0, description="seconds after an hour until its charges are taken to be all here"
    )

    @property
    def anomaly_effect_nanousd(self) -> int:
        """The least effect in nano-dollars."""
        return parse_usd(self.anomaly_effect_usd)

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.rearm_below > self.alert_above:
            raise ValueError("rearm_below must not be above alert_above")
        return self
