"""What an operator can tell every service, by environment variables that start with `SPENDGATE_`."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Literal["debug", "info", "warning", "error"]


class TlsError(Exception):
    """A certificate or key that cannot be used; the message says which and why."""


class Settings(BaseSettings):
    """Settings that all services share; each service adds its own in a subclass.

    `Settings()` reads the environment and raises `pydantic.ValidationError`, naming each variable that is wrong.
    """

    model_config = SettingsConfigDict(env_prefix="SPENDGATE_", extra="ignore", frozen=True)

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers, comma separated")
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = Field(
        "spendgate.",
        description="what every topic name starts with, so that installations can share a broker",
    )
    clickhouse: str = Field(
        "http://default:@127.0.0.1:8123/spendgate",
        description="ClickHouse over HTTP, the database in the path",
    )
    keys_file: Path | None = Field(None, description="API keys, such as `spendgate up` writes")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(0, description="port to listen on; 0 takes any free one")
    port_file: Path | None = Field(None, description="where to write the port once the service listens")
    data_dir: Path = Field(
        Path("data"),
        description="directory of the service's own files, such as the spool",
    )
    log_level: LogLevel = Field("info", description="the least severe level that is logged")
    tls_certificate: Path | None = Field(None, description="certificate chain (PEM); with `tls_key`, serve HTTPS")
    tls_key: Path | None = Field(None, description="private key (PEM) of the certificate")
    tls_client_ca: Path | None = Field(None, description="authorities (PEM) that client certificates must come from")
    drain_s: Annotated[float, Field(ge=0, le=300)] = Field(
        10.0,
        description="seconds that requests in flight are given to finish on SIGTERM",
    )

    def tls(self) -> ssl.SSLContext | None:
        """The server's TLS, mutual when `tls_client_ca` is set; None serves plain HTTP. Raises `TlsError`."""
        if self.tls_certificate is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.tls_client_ca)
            context.load_cert_chain(self.tls_certificate, self.tls_key)
        except OSError as error:
            files = [str(file) for file in (self.tls_certificate, self.tls_key, self.tls_client_ca) if file]
            raise TlsError(f"TLS cannot be set up from {', '.join(files)} ({error}): check SPENDGATE_TLS_*") from error
        if self.tls_client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
