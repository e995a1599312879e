"""The OpenAPI document of the forecaster."""

from __future__ import annotations

from typing import Any, Final

OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Spendgate forecaster", "version": "1"},
    "paths": {},
}
