"""The five dashboards, in the order in which people read them."""

from __future__ import annotations

from deploy.grafana.boards import budget, enforcement, forecasts, overview, pipeline
from deploy.grafana.model import Dashboard

ALL: tuple[Dashboard, ...] = (
    overview.BOARD,
    budget.BOARD,
    enforcement.BOARD,
    forecasts.BOARD,
    pipeline.BOARD,
)
