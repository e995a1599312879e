"""Ingest, wired: from settings to an application that serves."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from services.adapters.ending import end_tasks
from services.adapters.keys import Keyring, Role
from services.adapters.lane import Pace
from services.adapters.ledger import LedgerWriter
from services.adapters.metrics import Metrics
from services.adapters.spool import Spool
from services.adapters.vital import VitalTasks
from services.adapters.web import Readiness, add_route, create_app
from services.ingest.acknowledgement_routes import AcknowledgementRoutes
from services.ingest.enforcer_routes import EnforcerRoutes
from services.ingest.event_routes import EventRoutes
from services.ingest.move_routes import MoveRoutes
from services.ingest.openapi import openapi
from services.ingest.policy_book import PolicyBook
from services.ingest.policy_routes import PolicyRoutes
from services.ingest.proposal_routes import ProposalRoutes
from services.ingest.refusals import Refusals
from services.ingest.settings import IngestSettings

SPOOL_FILE = "ingest-spool.sqlite"


def build(settings: IngestSettings) -> web.Application:
    """The application; start it with `web.serve`. Raises `KeysError` and `SpoolError`, with advice."""
    metrics = Metrics()
    keyring = Keyring.load(settings.keys_file)
    spool = Spool.open(settings.data_dir / SPOOL_FILE, max_bytes=settings.spool_max_bytes)
    vital = VitalTasks()
    ledger = LedgerWriter(settings, spool, metrics, vital, pace=Pace(timeout_s=settings.append_timeout_s))
    book, refusals = PolicyBook(settings), Refusals(settings)

    def readiness() -> Readiness:
        detail = {"spooled_events": ledger.spooled_events, "policies_known": book.caught_up}
        return Readiness(ledger.ready, detail)

    app = create_app(
        "ingest",
        keyring=keyring,
        readiness=readiness,
        openapi=openapi(),
        metrics=metrics,
        max_body_bytes=settings.max_body_bytes,
        vital=vital,
    )
    events = EventRoutes(ledger, metrics, max_batch_events=settings.max_batch_events)
    policies = PolicyRoutes(ledger, book, apply_wait_s=settings.apply_wait_s)
    proposals = ProposalRoutes(ledger, book, apply_wait_s=settings.apply_wait_s)
    add_route(app, "POST", "/v1/events", events.post, roles=[Role.EDGE])
    add_route(app, "POST", "/v1/policies", policies.post, roles=[], logged=True)
    add_route(app, "GET", "/v1/policies/{organization}", policies.get, roles=[Role.VIEWER])
    add_route(app, "POST", "/v1/boosts", policies.boost, roles=[], logged=True)
    moves = MoveRoutes(ledger, book, refusals, apply_wait_s=settings.apply_wait_s)
    add_route(app, "POST", "/v1/moves", moves.post, roles=[], logged=True)
    add_route(app, "POST", "/v1/proposals", proposals.post, roles=[], logged=True)
    add_route(app, "GET", "/v1/proposals/{organization}", proposals.get, roles=[Role.VIEWER])
    add_route(app, "POST", "/v1/proposals/{proposal}/review", proposals.review, roles=[], logged=True)
    acknowledgements = AcknowledgementRoutes(ledger)
    add_route(app, "POST", "/v1/acknowledgements", acknowledgements.post, roles=[Role.VIEWER], logged=True)
    add_route(app, "POST", "/v1/enforcers/forget", EnforcerRoutes(ledger).forget, roles=[], logged=True)

    async def parts(_app: web.Application) -> AsyncIterator[None]:
        await ledger.start()
        following = vital.start("follow the policies", book.follow())
        hearing = vital.start("hear of refusals", refusals.follow())
        yield
        await end_tasks(following, hearing)
        await ledger.stop()

    app.cleanup_ctx.append(parts)
    return app
