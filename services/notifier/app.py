"""The notifier as a server: from settings to an application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

from aiohttp import web

from services.adapters.ending import end_tasks
from services.adapters.keys import Keyring
from services.adapters.ledger import LedgerWriter
from services.adapters.metrics import Metrics
from services.adapters.publisher import Publisher
from services.adapters.spool import Spool
from services.adapters.vital import VitalTasks
from services.adapters.web import create_app
from services.core.notifying import Contact
from services.notifier.book import Book
from services.notifier.chat import Chats
from services.notifier.delivering import Delivering
from services.notifier.health import Health
from services.notifier.letter import Writer
from services.notifier.mail import Mails
from services.notifier.openapi import OPENAPI
from services.notifier.outbox import Outbox
from services.notifier.publishing import Publishing
from services.notifier.reading import Reading
from services.notifier.routes import NotifierRoutes
from services.notifier.senders import Senders
from services.notifier.settings import NotifierSettings
from services.notifier.signing import Signer
from services.notifier.webhook import Webhooks

MAX_BODY_BYTES = 1 << 20
OUTBOX_FILE, SPOOL_FILE = "notifier.sqlite", "notifier-spool.sqlite"


def build(settings: NotifierSettings) -> web.Application:
    """The application; start it with `web.serve`.

    Raises `KeysError`, `OutboxError`, `SpoolError`, `SecretError` and `MailServerError`, with advice.
    """
    keyring = Keyring.load(settings.keys_file)
    health, vital = Health(Metrics()), VitalTasks()
    secret = None if settings.notifier_secret is None else settings.notifier_secret.get_secret_value()
    signer = Signer.load(secret, settings.data_dir)
    senders = _senders(settings, signer)
    outbox = Outbox.open(settings.data_dir / OUTBOX_FILE)
    spool = Spool.open(settings.data_dir / SPOOL_FILE, max_bytes=settings.spool_max_bytes)
    ledger, publisher = LedgerWriter(settings, spool, health.metrics, vital), Publisher(settings)
    book = Book(health)
    writer = Writer(signer, book.forecast, book.owners, console_url=settings.console_url, own_url=settings.notifier_url)
    delivering = Delivering(
        outbox, writer, senders, health, at_once=settings.notify_at_once, remember_ms=2 * settings.within_ms
    )
    reading = Reading(settings, outbox, book, health, delivering.wake, within_ms=settings.within_ms)
    publishing = Publishing(settings, publisher, outbox, delivering.ended)
    app = create_app(
        "notifier",
        keyring=keyring,
        readiness=health.readiness,
        openapi=OPENAPI,
        metrics=health.metrics,
        max_body_bytes=MAX_BODY_BYTES,
        vital=vital,
    )
    NotifierRoutes(outbox, ledger, writer, signer, _operators(settings)).add(app)

    async def parts(_app: web.Application) -> AsyncIterator[None]:
        await ledger.start()
        endless = [
            vital.start("follow the policies", reading.follow_book()),
            vital.start("follow the alerts", reading.follow_events()),
            vital.start("send", delivering.run()),
            vital.start("publish", publishing.run()),
        ]
        yield
        await delivering.drain(settings.notify_timeout_s)
        await end_tasks(*endless)
        await asyncio.gather(ledger.stop(), publisher.stop(), senders.close())
        await asyncio.to_thread(outbox.close)

    app.cleanup_ctx.append(parts)
    return app


def _senders(settings: NotifierSettings, signer: Signer) -> Senders:
    timeout_s = settings.notify_timeout_s
    server = None if settings.mail_server is None else settings.mail_server.get_secret_value()
    return Senders(
        Webhooks(signer, timeout_s=timeout_s, allow_private=settings.notify_private),
        Mails(server, settings.mail_from, timeout_s=timeout_s),
        Chats(settings.schemes, timeout_s=timeout_s),
    )


def _operators(settings: NotifierSettings) -> Contact | None:
    if not settings.operator_channels:
        return None
    return Contact(
        budget="*",
        first=settings.operator_channels,
        then=(),
        patience_ms=0,
        least="info",
        quiet=(),
        zone=ZoneInfo("UTC"),
        at_most=None,
        digest_ms=None,
    )
