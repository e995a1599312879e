"""Envoy's `ext_authz` over gRPC: `envoy.service.auth.v3.Authorization/Check`. Needs `spendgate[grpc]`.

An adapter for gateways that speak nothing else: Python's gRPC costs several times what the same answer costs over HTTP.
Source: `external_auth.proto` and `attribute_context.proto` of Envoy's API, as generated in the package `xds-protos`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping

import grpc
from aiohttp import web
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy.service.auth.v3.external_auth_pb2_grpc import add_AuthorizationServicer_to_server
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.rpc.status_pb2 import Status

from services.adapters import logs
from services.adapters.answer import HttpAnswer
from services.adapters.keys import Keyring, Principal
from services.adapters.metrics import Metrics
from services.adapters.web import authorize
from services.adapters.web_body import decompressed
from services.adapters.web_errors import ApiError, too_large
from services.core.ask import Ask
from services.enforcer.desk import EDGES, Desk
from services.enforcer.gateway.asking import Forwarded, ask_of
from services.enforcer.gateway.deciding import decided
from services.enforcer.gateway.envoy_http import PARTIAL
from services.enforcer.gateway.headers import PREFIX, said
from services.enforcer.http_answer import of_error
from services.enforcer.settings import EnforcerSettings

ENVELOPE_BYTES = 256 << 10
"""What a check may have besides the body: attributes, and headers, of which Envoy allows 60 KiB by default."""

OVERWRITE = HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
log = logs.logger(__name__)


class GrpcServer:
    """Serves the one method for as long as the enforcer's application runs."""

    def __init__(self, settings: EnforcerSettings, checks: Checks) -> None:
        self._settings, self._checks = settings, checks

    def add_to(self, app: web.Application) -> None:
        """Serve while the application runs. Add it after what the calls need: it then stops before that."""
        app.cleanup_ctx.append(self._serving)

    async def _serving(self, _app: web.Application) -> AsyncIterator[None]:
        settings = self._settings
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", settings.gateway_body_bytes + ENVELOPE_BYTES),
                ("grpc.so_reuseport", 0),  # two enforcers on one port would share its connections unnoticed
            ]
        )
        add_AuthorizationServicer_to_server(self._checks, server)
        _listen(server, f"{settings.host}:{settings.grpc_port}", _credentials(settings))
        await server.start()
        log.info("grpc listening", host=settings.host, port=settings.grpc_port)
        yield
        await server.stop(settings.drain_s)


class Checks:
    """The method. What is decided goes to the client; what cannot be decided is an error, and Envoy's to judge."""

    def __init__(
        self, desk: Desk, keyring: Keyring, metrics: Metrics, *, deny_status: int, body_bytes_max: int
    ) -> None:
        self._desk, self._keyring = desk, keyring
        self._deny_status, self._body_bytes_max = deny_status, body_bytes_max
        self._metrics = metrics

    async def Check(  # noqa: N802 - the name is Envoy's
        self, request: CheckRequest, context: grpc.aio.ServicerContext[CheckRequest, CheckResponse]
    ) -> CheckResponse:
        """Decide a client's request."""
        try:
            principal = self._principal(context)
            answer = await decided(self._desk, principal, self._ask(request, principal), self._deny_status)
        except ApiError as error:
            answer = of_error(error)
            if error.status >= 500:
                self._count(answer.status)
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        self._count(answer.status)
        return _allowed(answer) if answer.status == 200 else _denied(answer)

    def _count(self, status: int) -> None:
        self._metrics.counter("spendgate_grpc_requests_total", status=str(status)).inc()

    def _principal(self, context: grpc.aio.ServicerContext[CheckRequest, CheckResponse]) -> Principal:
        metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
        return authorize(metadata.get("authorization", ""), self._keyring, EDGES)

    def _ask(self, request: CheckRequest, principal: Principal) -> Ask:
        http, routed = request.attributes.request.http, request.attributes.context_extensions
        if http.headers.get(PARTIAL) == "true":
            raise too_large(self._body_bytes_max)
        body = decompressed(_body(http), http.headers.get("content-encoding"), self._body_bytes_max)
        content_type = http.headers.get("content-type", "json")
        return ask_of(Forwarded(said(_said(http.headers, routed)), content_type, body), principal)


def _said(headers: Mapping[str, str], routed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What the gateway says: in headers, and, for this route and above them, in `context_extensions`."""
    over = {name if name.startswith(PREFIX) else PREFIX + name: value for name, value in routed.items()}
    yield from {**headers, **over}.items()


def _body(http: AttributeContext.HttpRequest) -> bytes:
    return bytes(http.raw_body) or http.body.encode()


def _allowed(answer: HttpAnswer) -> CheckResponse:
    headers = _options(answer)
    return CheckResponse(
        status=Status(code=grpc.StatusCode.OK.value[0]),
        ok_response=OkHttpResponse(headers=headers, response_headers_to_add=headers),
    )


def _denied(answer: HttpAnswer) -> CheckResponse:
    return CheckResponse(
        status=Status(code=grpc.StatusCode.PERMISSION_DENIED.value[0]),
        denied_response=DeniedHttpResponse(
            status=HttpStatus(code=answer.status), headers=_options(answer), body=answer.body.decode()
        ),
    )


def _options(answer: HttpAnswer) -> list[HeaderValueOption]:
    return [
        HeaderValueOption(header=HeaderValue(key=name.lower(), value=value), append_action=OVERWRITE)
        for name, value in answer.headers.items()
    ]


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> None:
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {address} ({error}): check SPENDGATE_GRPC_PORT") from error


def _credentials(settings: EnforcerSettings) -> grpc.ServerCredentials | None:
    """TLS from the same files as HTTP's, mutual when there is a client authority. Raises `OSError`."""
    if settings.tls_certificate is None:
        return None
    chain = settings.tls_certificate.read_bytes()
    key = (settings.tls_key or settings.tls_certificate).read_bytes()
    authorities = settings.tls_client_ca and settings.tls_client_ca.read_bytes()
    return grpc.ssl_server_credentials([(key, chain)], authorities, authorities is not None)
