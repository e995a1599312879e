"""The OpenAPI document of the console."""

from __future__ import annotations

from typing import Any, Final

from services.adapters.openapi import document
from services.console import spend_routes

DESCRIPTION: Final = """What was spent, by whom and on what, and what is to be expected.

Money is in decimal dollars, exact to the nano-dollar; times are ISO 8601. A key reads its own organization."""

OPENAPI: Final[dict[str, Any]] = document(
    title="Spendgate console", description=DESCRIPTION, paths={**spend_routes.OPENAPI}
)
