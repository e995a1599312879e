"""The compose file and the image say what the services can understand; nothing here needs a container engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.kafka.broker import settings_of_one_node
from deploy.local.kafka.jars import VERSION
from deploy.local.service import ALL, INSTANCE, kind_of
from services.adapters.settings import Settings
from services.aggregator.settings import AggregatorSettings
from services.console.settings import ConsoleSettings
from services.enforcer.settings import EnforcerSettings
from services.forecaster.settings import ForecasterSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.sink.settings import SinkSettings
from services.steward.settings import StewardSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if INSTANCE.fullmatch(name)}
SETTINGS: dict[str, type[Settings]] = {
    "ingest": IngestSettings,
    "enforcer": EnforcerSettings,
    "aggregator": AggregatorSettings,
    "sink": SinkSettings,
    "forecaster": ForecasterSettings,
    "notifier": NotifierSettings,
    "steward": StewardSettings,
    "console": ConsoleSettings,
}


def test_every_service_of_ours_is_there() -> None:
    assert {kind_of(name) for name in OURS} == set(ALL) == set(SETTINGS)


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_itself_and_is_told_only_what_it_understands(name: str) -> None:
    kind = kind_of(name)
    assert OURS[name]["command"] == ["python", "-m", f"services.{kind}"]
    prefix = SETTINGS[kind].model_config["env_prefix"]
    known = {(prefix + field).upper() for field in SETTINGS[kind].model_fields}
    assert set(OURS[name]["environment"]) <= known


@pytest.mark.parametrize("name", OURS)
def test_the_values_it_is_told_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, value.replace("${CLICKHOUSE_PASSWORD:?choose one}", "secret"))
    settings = SETTINGS[kind_of(name)]()
    assert settings.kafka == "kafka:9092"
    assert settings.clickhouse == "http://default:secret@clickhouse:8123/spendgate"
    assert str(settings.port) in OURS[name]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_ports_stay_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w/-]+:v?\d[\w.-]*|spendgate:local", service["image"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_broker_is_the_local_one_with_other_addresses() -> None:
    kafka = SERVICES["kafka"]
    assert kafka["image"] == f"apache/kafka:{VERSION}"
    source = kafka["volumes"][0].split(":")[0]
    assert (DEPLOY / source).resolve() == DEPLOY / "local" / "kafka" / "broker.properties"
    overridden = {name.removeprefix("KAFKA_").lower().replace("_", ".") for name in kafka["environment"]}
    assert overridden.isdisjoint(settings_of_one_node())


def test_volumes_are_declared_and_files_exist() -> None:
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    files = {source for source in sources if source.startswith(".")}
    assert sources - files == set(COMPOSE["volumes"])
    assert all((DEPLOY / file).exists() for file in files)


def test_what_the_image_copies_exists() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
    names = [name for names in copied for name in names]
    assert {"requirements.lock", "services", "schemas", "deploy"} <= set(names)
    assert all((DEPLOY.parent / name).exists() for name in names)
