"""The HTTP shell that every service shares: one gate before all handlers, the system routes, and the server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from aiohttp import web

from services.adapters import logs
from services.adapters.keys import Keyring, Principal, Role
from services.adapters.meter import RouteMeters
from services.adapters.metrics import CONTENT_TYPE, Metrics
from services.adapters.settings import Settings
from services.adapters.vital import VitalTasks
from services.adapters.web_errors import (
    ApiError,
    forbidden,
    json_response,
    of_http_exception,
    too_large,
    unauthenticated,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Session = Callable[[web.Request], Principal | None]
BROKEN_S = 20.0
log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a service may be sent traffic, and the facts behind the answer."""

    ready: bool
    detail: Mapping[str, Any] = field(default_factory=dict)


class Endpoint:
    """What the gate knows of a route: who may call it, and its meters. `roles` None means anybody."""

    __slots__ = ("failures", "logged", "meter", "roles", "route")

    def __init__(self, shell: Shell, route: str, roles: Collection[Role] | None, *, logged: bool = False) -> None:
        self.route, self.logged = route, logged
        self.roles = None if roles is None else (*roles, Role.ADMIN)
        self.meter = shell.meters.of(route)
        self.failures = shell.metrics.counter("spendgate_http_failures_total", route=route)


@dataclass(slots=True)
class Shell:
    """What `create_app` keeps beside the application."""

    name: str
    keyring: Keyring
    readiness: Callable[[], Readiness]
    metrics: Metrics
    meters: RouteMeters
    openapi: bytes
    vital: VitalTasks
    session: Session | None = None
    draining: bool = False
    methods: dict[str, list[str]] = field(default_factory=dict)

    def ready(self) -> Readiness:
        """The service's own readiness, and never while it drains or when a vital task has failed."""
        if self.vital.failures:
            return Readiness(False, {"failed": self.vital.failures})
        return Readiness(False, {"draining": True}) if self.draining else self.readiness()


SHELL = web.AppKey("shell", Shell)
PRINCIPAL = web.RequestKey("principal", Principal)


def create_app(
    name: str,
    *,
    keyring: Keyring,
    readiness: Callable[[], Readiness],
    openapi: Mapping[str, Any],
    metrics: Metrics,
    max_body_bytes: int,
    vital: VitalTasks | None = None,
    session: Session | None = None,
) -> web.Application:
    """An application with the system routes; add the service's own with `add_route`.

    When one of the `vital` tasks fails it is no longer ready, and `serve` ends. `session` tells who a browser is that
    sends no key; what it tells is good for GET alone, so that no other site can make a browser change anything.
    """
    meters = RouteMeters()
    metrics.registry.register(meters)
    vital = vital or VitalTasks()
    shell = Shell(name, keyring, readiness, metrics, meters, msgspec.json.encode(openapi), vital, session)
    app = web.Application(client_max_size=max_body_bytes)
    app[SHELL] = shell
    add_route(app, "GET", "/healthz", _health, roles=None)
    add_route(app, "GET", "/readyz", _readiness, roles=None)
    add_route(app, "GET", "/metrics", _metrics, roles=None)
    add_route(app, "GET", "/openapi.json", _openapi, roles=None)
    return app


def add_route(
    app: web.Application,
    method: str,
    path: str,
    handler: Handler,
    *,
    roles: Collection[Role] | None,
    logged: bool = False,
) -> None:
    """Serve `path` for these roles (an admin always may; None: anybody, without a key).

    `logged` writes one line a request; leave it off on hot routes, whose failures are logged in any case.
    """
    shell = app[SHELL]
    shell.methods.setdefault(path, []).append(method)
    endpoint = Endpoint(shell, path, roles, logged=logged)
    app.router.add_route(method, path, _gate(shell, endpoint, handler))


def require_organization(principal: Principal, organization: str, *, at: str | None = "organization") -> None:
    """Raise `ApiError` 403 unless the key covers the organization."""
    if not principal.covers(organization):
        raise forbidden("other_organization", "this key belongs to another organization", field=at)


def _gate(shell: Shell, endpoint: Endpoint, handler: Handler) -> Handler:
    """A handler behind what every route needs: who asks, what went wrong, how long it took.

    Wrapped around each handler rather than installed as a middleware: aiohttp's middlewares cost a hot route as much
    again as all that is done here.
    """
    roles, answered = endpoint.roles, endpoint.meter.answered

    async def gated(request: web.Request) -> web.StreamResponse:
        started = perf_counter()
        try:
            if roles is not None:
                request[PRINCIPAL] = _principal(shell, request, roles)
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the caller gets an answer
            response = _refusal(error, endpoint, request)
        answered(response.status, perf_counter() - started)
        if endpoint.logged:
            _log_request(request, endpoint, response.status)
        return response

    return gated


def _add_fallbacks(app: web.Application) -> None:
    """Answer other methods of known paths with 405, and all other paths with 404, in our own words."""
    shell = app[SHELL]
    unmatched = Endpoint(shell, "unmatched", None)
    for path, methods in shell.methods.items():

        async def other_method(_request: web.Request, allow: str = ", ".join(sorted(methods))) -> web.Response:
            raise ApiError(405, "method_not_allowed", f"this path takes {allow}", headers={"Allow": allow})

        app.router.add_route("*", path, _gate(shell, unmatched, other_method))

    async def no_such_route(_request: web.Request) -> web.Response:
        raise ApiError(404, "no_such_route", "there is no such path; see /openapi.json")

    app.router.add_route("*", "/{path:.*}", _gate(shell, unmatched, no_such_route))


def _principal(shell: Shell, request: web.Request, roles: Collection[Role]) -> Principal:
    header = request.headers.get("Authorization", "")
    if not header and shell.session is not None and request.method == "GET":
        principal = shell.session(request)
        if principal is not None:
            return _allowed(principal, roles)
    return authorize(header, shell.keyring, roles)


def authorize(header: str, keyring: Keyring, roles: Collection[Role]) -> Principal:
    """The principal of an Authorization header. Raises `ApiError` 401, or 403 for a role that may not."""
    if header[:7] != "Bearer " and header[:7].lower() != "bearer ":
        raise unauthenticated("send an API key: Authorization: Bearer sg_...")
    principal = keyring.authenticate(header[7:].strip())
    if principal is None:
        raise unauthenticated("this API key is not known")
    return _allowed(principal, roles)


def _allowed(principal: Principal, roles: Collection[Role]) -> Principal:
    if principal.role not in roles:
        raise forbidden("role_not_allowed", f"a key of role {principal.role} may not do this")
    return principal


def _refusal(error: Exception, endpoint: Endpoint, request: web.Request) -> web.Response:
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return too_large(request.client_max_size).response()
    if isinstance(error, web.HTTPException):
        return of_http_exception(error).response()
    endpoint.failures.inc()
    log.error("request failed", route=endpoint.route, method=request.method, exc_info=error)
    return ApiError(500, "internal", "the service failed; the failure was logged").response()


def _log_request(request: web.Request, endpoint: Endpoint, status: int) -> None:
    principal = request.get(PRINCIPAL)
    key = principal.key_id if principal else None
    log.info("request", method=request.method, route=endpoint.route, status=status, key=key)


async def _health(_request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def _readiness(request: web.Request) -> web.Response:
    readiness = request.app[SHELL].ready()
    return json_response({"ready": readiness.ready, **readiness.detail}, status=200 if readiness.ready else 503)


async def _metrics(request: web.Request) -> web.Response:
    shell = request.app[SHELL]
    shell.metrics.gauge("spendgate_ready").set(shell.ready().ready)
    return web.Response(body=shell.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


async def _openapi(request: web.Request) -> web.Response:
    return web.Response(body=request.app[SHELL].openapi, content_type="application/json")


@asynccontextmanager
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[int]:
    """Serve until the block ends, then let requests in flight finish; gives the port.

    Start-up hooks of the application have run when the block begins; its clean-up hooks run last. Raises `TlsError`,
    and `OSError` when the port is taken.
    """
    tls = settings.tls()
    _add_fallbacks(app)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=settings.drain_s)
    try:
        await runner.setup()
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls)
        await site.start()
        port = int(runner.addresses[0][1])
        if settings.port_file is not None:
            _write_port(settings.port_file, port)
        log.info("listening", host=settings.host, port=port)
        yield port
        app[SHELL].draining = True
    finally:
        await runner.cleanup()


async def serve(app: web.Application, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Run it with `uvloop.run(serve(app, settings))`.

    Raises `VitalTaskFailed`, drained as far as that is still possible: the process is then to end with `vital.FAILED`.
    """
    loop, vital, stop = asyncio.get_running_loop(), app[SHELL].vital, asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    vital.when_failed(stop.set)
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit, listening(app, settings):
            await stop.wait()
            log.info("draining", seconds_max=settings.drain_s)
            if vital.failures:  # whatever broke may keep the rest from ending in good order
                limit.reschedule(loop.time() + settings.drain_s + BROKEN_S)
    vital.check()
    log.info("stopped")


def _write_port(path: Path, port: int) -> None:
    """At once, so that whoever waits for the file never reads half a number."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(str(port))
    draft.replace(path)
