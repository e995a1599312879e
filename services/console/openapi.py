"""The OpenAPI document of the console."""

from __future__ import annotations

from typing import Any, Final

OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Spendgate console", "version": "1"},
    "paths": {},
}
