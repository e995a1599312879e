"""The Kafka topics as `topics.yaml` describes them: who writes what, who reads it, and how each topic is set up."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

TopicName = Literal[
    "ledger",
    "charges",
    "decisions",
    "alerts",
    "forecasts",
    "anomalies",
    "audit",
    "notifications",
    "rejected",
    "balances",
    "policies",
    "seen",
]
Service = Literal["ingest", "enforcer", "aggregator", "sink", "forecaster", "steward", "console", "notifier", "people"]

TOPICS_FILE = Path(__file__).with_name("topics.yaml")


class TopicSpec(BaseModel):
    """One topic. `key` says what a record's key is; `events` are the types in its values, none for a changelog."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    says: str
    key: str
    producers: Annotated[tuple[Service, ...], Field(min_length=1)]
    consumers: Annotated[tuple[Service, ...], Field(min_length=1)]
    events: tuple[str, ...] = ()
    config: dict[str, str]


class TopicsFile(BaseModel):
    """The whole of `topics.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partitions: Annotated[int, Field(ge=1)]
    replication: Annotated[int, Field(ge=1)]
    topics: dict[TopicName, TopicSpec]


@cache
def topics_file() -> TopicsFile:
    """The committed description. Raises `pydantic.ValidationError` when it is not one."""
    return TopicsFile.model_validate(yaml.safe_load(TOPICS_FILE.read_text("utf-8")))
