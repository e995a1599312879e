"""How good the forecasts are: months whose end is known, and the calibration from other months."""
