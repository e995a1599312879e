"""Envoy's gRPC as Envoy speaks it, to an enforcer of each kind: ready, behind TLS, and one that knows nothing yet."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import grpc
import pytest
from envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationStub

from deploy.local.ports import free_port
from services.adapters.web import listening
from services.enforcer.app import build
from services.enforcer.settings import EnforcerSettings
from tests.integration.enforcing import Keys, make_keys, running_enforcer, slow_aggregator
from tests.integration.test_web import make_certificates

BODY = b'{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"Good day!"}]}'


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path)


@pytest.fixture
def settings(broker: str, prefix: str, tmp_path: Path, keys: Keys) -> EnforcerSettings:
    return EnforcerSettings(
        kafka=broker, topic_prefix=prefix, keys_file=keys.path, data_dir=tmp_path, grpc_port=free_port()
    )


async def check(
    channel: grpc.aio.Channel, token: str, headers: dict[str, str] | None = None, **routed: str
) -> CheckResponse:
    http = AttributeContext.HttpRequest(headers=headers, raw_body=BODY)
    request = AttributeContext.Request(http=http)
    attributes = AttributeContext(request=request, context_extensions=routed)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return await AuthorizationStub(channel).Check(CheckRequest(attributes=attributes), metadata=metadata)


async def test_what_a_route_says_is_above_what_headers_say(settings: EnforcerSettings, keys: Keys) -> None:
    async with (
        slow_aggregator(settings) as aggregator,
        running_enforcer(settings, keys.admin) as client,
        grpc.aio.insecure_channel(f"127.0.0.1:{settings.grpc_port}") as channel,
    ):
        policy = await aggregator.policy("acme", {"name": "day", "limit_usd": "1", "window": "day"})
        await client.day(after=policy)
        headers = {"x-budget-organization": "other", "x-budget-user": "carol"}
        answer = await check(channel, keys.edge, headers, organization="acme", **{"x-budget-user": "alice"})
        told = {option.header.key: option.header.value for option in answer.ok_response.headers}
        assert told["x-budget-binding"] == "day"
        assert (await client.day("org:acme/user:alice"))["reserved_usd"] == told["x-budget-estimate-usd"]
        elsewhere = await check(channel, keys.edge, headers)
        assert (elsewhere.denied_response.status.code, elsewhere.status.code) == (403, 7)
        assert "other_organization" in elsewhere.denied_response.body
        everybodys = await check(channel, keys.admin, {"x-budget-user": "carol"})
        assert (everybodys.denied_response.status.code, "organization" in everybodys.denied_response.body) == (
            422,
            True,
        )


async def test_an_enforcer_that_knows_nothing_yet_is_an_error_for_envoy_to_judge(
    settings: EnforcerSettings, keys: Keys
) -> None:
    lost = without_kafka(settings)
    async with (
        running_enforcer(lost, keys.edge, ready=False) as client,
        grpc.aio.insecure_channel(f"127.0.0.1:{settings.grpc_port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await check(channel, keys.edge)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        async with client.session.get(f"{client.url}/metrics") as metrics:
            assert 'spendgate_grpc_requests_total{status="503"} 1.0' in await metrics.text()


async def test_tls_and_client_certificates_are_asked_for_when_configured(
    settings: EnforcerSettings, keys: Keys, tmp_path: Path
) -> None:
    make_certificates(tmp_path)
    files = {"certificate": "server.pem", "key": "server.key", "client_ca": "ca.pem"}
    secret = settings.model_copy(update={f"tls_{name}": tmp_path / file for name, file in files.items()})
    authority, key, chain = [(tmp_path / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
    async with slow_aggregator(settings), listening(build(secret), secret) as port:
        await until_ready(port, tmp_path)
        known = grpc.ssl_channel_credentials(authority, key, chain)
        async with grpc.aio.secure_channel(f"127.0.0.1:{settings.grpc_port}", known) as channel:
            answer = await check(channel, "")
        assert answer.denied_response.status.code == 401
        unknown = grpc.ssl_channel_credentials(authority)
        async with grpc.aio.secure_channel(f"127.0.0.1:{settings.grpc_port}", unknown) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await check(channel, keys.edge)


async def test_a_port_that_is_taken_is_named(settings: EnforcerSettings) -> None:
    lost = without_kafka(settings)
    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", lost.grpc_port):
        with pytest.raises(OSError, match="SPENDGATE_GRPC_PORT"):
            async with listening(build(lost), lost):
                pytest.fail("it started")


def without_kafka(settings: EnforcerSettings) -> EnforcerSettings:
    return settings.model_copy(update={"kafka": f"127.0.0.1:{free_port()}"})


async def until_ready(port: int, certificates: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        while True:
            async with session.get(f"https://127.0.0.1:{port}/readyz") as answer:
                if answer.status == 200:
                    return
