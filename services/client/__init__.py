"""The client of the enforcer's RPC, for gateways: it needs msgspec and nothing else."""

from services.client.aio import AsyncClient, OnUnavailable
from services.client.blocking import Client
from services.client.errors import ClientError, NothingReserved, Refused, Unavailable
from services.client.keeper import Backoff
from services.client.messages import Ask, BudgetLine, Decision, Hold, Settled, Usage

__all__ = [
    "Ask",
    "AsyncClient",
    "Backoff",
    "BudgetLine",
    "Client",
    "ClientError",
    "Decision",
    "Hold",
    "NothingReserved",
    "OnUnavailable",
    "Refused",
    "Settled",
    "Unavailable",
    "Usage",
]
