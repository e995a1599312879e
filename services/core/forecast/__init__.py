"""Forecasts of what scopes will have spent when a window ends, with honest intervals: pure, and thousands at once."""

from services.core.forecast.newcomer import FIRST_DAY, first_day
from services.core.forecast.project import project
from services.core.forecast.projection import FanPoint, Projection
from services.core.forecast.reconcile import reconcile
from services.core.forecast.series import DailySeries
from services.core.forecast.voice import Voice

__all__ = ["FIRST_DAY", "DailySeries", "FanPoint", "Projection", "Voice", "first_day", "project", "reconcile"]
