"""The OpenAPI document of the steward: it only has the routes that every service has."""

from __future__ import annotations

from services.adapters.openapi import document

OPENAPI = document(
    title="Spendgate steward",
    description=(
        "Moves money between budgets as the rules of their policies say, each move an event in the ledger with its "
        "reason. What a move may do, the ledger decides."
    ),
    paths={},
)
