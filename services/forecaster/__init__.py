"""The forecaster forecasts what scopes will spend, and notices spending that is not like its past."""
