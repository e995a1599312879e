"""Where an installation is: from flags, else the environment, else the `stack.json` of a local stack."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from pydantic import Field, ValidationError

from services.adapters.keys import Role
from services.adapters.settings import Settings
from services.cli.errors import CliError, NoStack

DATA_DIR = Path(".spendgate")
STACK_FILE = "stack.json"
ADVICE = (
    "start one with `spendgate up`, or name one: --data DIR of a running stack, or SPENDGATE_ENFORCER_URL, "
    "SPENDGATE_INGEST_URL, SPENDGATE_TOKEN, SPENDGATE_KAFKA and SPENDGATE_CLICKHOUSE"
)


class Environment(Settings):
    """What the environment says about an installation, beside what every service reads."""

    data: Path | None = Field(None, description="data folder of a local stack")
    ingest_url: str | None = Field(None, description="where ingest listens, such as http://127.0.0.1:8081")
    enforcer_url: str | None = Field(None, description="where an enforcer listens")
    console_url: str | None = Field(None, description="where the console listens")
    token: str | None = Field(None, description="the API key to use")


class StackFile(msgspec.Struct, kw_only=True):
    """What a local stack tells about itself. `services`: name to URL. `keys`: role to the file that holds its token."""

    kafka: str
    clickhouse: str
    topic_prefix: str = "spendgate."
    ingest_url: str | None = msgspec.field(default=None, name="ingest")
    enforcer_url: str | None = msgspec.field(default=None, name="enforcer")
    console_url: str | None = msgspec.field(default=None, name="console")
    services: dict[str, str] = {}
    keys: dict[str, str] = {}

    @property
    def enforcers(self) -> tuple[str, ...]:
        """Each enforcer's URL: several are called `enforcer-0`, `enforcer-1` and so on."""
        return tuple(url for name, url in self.services.items() if name.partition("-")[0] == "enforcer")


@dataclass(frozen=True, slots=True)
class Connection:
    """An installation: `settings` for Kafka and ClickHouse, URLs and a key for its HTTP services."""

    settings: Settings
    ingest_url: str | None
    enforcer_url: str | None
    token: str | None
    found_in: str
    enforcers: tuple[str, ...] = ()
    """Every enforcer that is known, where there is more than the one to ask."""
    console_url: str | None = None

    @property
    def enforcer_urls(self) -> tuple[str, ...]:
        """Every enforcer, the one to ask first; none if nobody said where one is."""
        first = () if self.enforcer_url is None else (self.need("enforcer"),)
        return (*first, *(url for url in self.enforcers if url not in first))

    def need(self, service: str) -> str:
        """The URL of `ingest` or `enforcer`. Raises NoStack."""
        url: str | None = getattr(self, f"{service}_url")
        if url is None:
            raise NoStack(f"nobody said where the {service} is", advice=ADVICE)
        if not url.startswith(("http://", "https://")):
            raise CliError(f"{url!r} is no address of {service}", advice="write http://HOST:PORT")
        return url.rstrip("/")

    def need_token(self) -> str:
        """The API key. Raises NoStack."""
        if self.token is None:
            raise NoStack(
                "no API key", advice="give --token or SPENDGATE_TOKEN; `spendgate keys create` makes a new key"
            )
        return self.token


def connect(
    data: Path | None = None,
    *,
    ingest_url: str | None = None,
    enforcer_url: str | None = None,
    token: str | None = None,
    role: Role = Role.ADMIN,
) -> Connection:
    """The installation that flags name, else the environment, else the local stack. Raises CliError.

    `data` is a flag too: the stack in that folder, whatever the environment says. Of a stack's keys, the one of `role`
    is used, also in place of another of the stack's keys that is in the environment.
    """
    environment = read_environment()
    directory = data or environment.data or DATA_DIR
    stack = _read_stack(directory, environment, named=data is not None or environment.data is not None)
    said = environment.model_fields_set if data is None else frozenset[str]()

    def told(name: str) -> Any:
        return getattr(environment if stack is None or name in said else stack, name)

    return Connection(
        settings=Settings(
            kafka=told("kafka"),
            topic_prefix=told("topic_prefix"),
            clickhouse=told("clickhouse"),
        ),
        ingest_url=ingest_url or told("ingest_url"),
        enforcer_url=enforcer_url or told("enforcer_url"),
        token=token or _token(environment.token if stack is None or "token" in said else None, stack, directory, role),
        enforcers=() if stack is None or enforcer_url or "enforcer_url" in said else stack.enforcers,
        console_url=told("console_url"),
        found_in=_found_in(bool(ingest_url or enforcer_url), said, None if stack is None else directory),
    )


def read_environment(**overrides: Any) -> Environment:
    """The environment's word. Raises CliError, naming each variable that is wrong."""
    try:
        return Environment(**overrides)
    except ValidationError as error:
        wrong = "; ".join(f"SPENDGATE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise CliError(f"the environment has a value that cannot be used: {wrong}") from error


def _read_stack(directory: Path, environment: Environment, *, named: bool) -> StackFile | None:
    path = directory / STACK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackFile)
    except FileNotFoundError as error:
        elsewhere = {"kafka", "clickhouse", "ingest_url", "enforcer_url"} & environment.model_fields_set
        if named or not elsewhere:
            raise NoStack(f"no running stack: {path} does not exist", advice=ADVICE) from error
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise CliError(f"{path} cannot be read: {error}", advice="stop the stack and start it again") from error


def _found_in(by_flag: bool, said: AbstractSet[str], directory: Path | None) -> str:
    if by_flag:
        return "the flags"
    if directory is None or said & {"ingest_url", "enforcer_url", "kafka", "clickhouse"}:
        return "the environment"
    return str(directory / STACK_FILE)


def _token(said: str | None, stack: StackFile | None, directory: Path, role: Role) -> str | None:
    if stack is None:
        return said
    # `spendgate env` puts one of the stack's own keys, a gateway's, into the environment of every command.
    if said is not None and said not in {_stack_token(stack, directory, each) for each in stack.keys}:
        return said
    return _stack_token(stack, directory, role)


def _stack_token(stack: StackFile, directory: Path, role: str) -> str | None:
    path = stack.keys.get(role)
    try:
        return None if path is None else (directory / path).read_text().strip()
    except OSError as error:
        raise CliError(f"the {role} key of the stack cannot be read: {error}") from error
