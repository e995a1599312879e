"""One real Kafka broker: its properties, its storage, and the program that the supervisor runs."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploy.local.kafka.jars import ensure_jars
from deploy.local.kafka.java import find_java
from deploy.local.kafka.probe import broker_answers
from deploy.local.ports import free_port
from deploy.local.process import Program, StartError

HERE = Path(__file__).parent
HOST = "127.0.0.1"
JVM_FLAGS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # the C2 compiler costs more at start-up than it gives here
    "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker with its data in `folder`; `properties` are laid over those of `broker.properties`."""

    folder: Path
    port: int
    log: Path
    controller_port: int = field(default_factory=free_port)
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.port}"

    def program(self) -> Program:
        """Write the properties, format the storage if it is new. Raises `SetupError` and `StartError`."""
        command = (str(find_java()), *JVM_FLAGS, "-cp", f"{ensure_jars()}/*")
        configuration = self._write_properties()
        if not (self.folder / "data" / "meta.properties").exists():
            _format([*command, "kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(configuration)])
        return Program(
            name="kafka",
            command=(*command, "kafka.Kafka", str(configuration)),
            log=self.log,
            ready=partial(broker_answers, HOST, self.port),
        )

    def _write_properties(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        listeners = f"BROKER://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}"
        own = {
            **settings_of_one_node(),
            "listeners": listeners,
            "advertised.listeners": f"BROKER://{HOST}:{self.port}",
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "log.dirs": str((self.folder / "data").absolute()),
            **self.properties,
        }
        path = self.folder / "broker.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
        return path


def settings_of_one_node() -> dict[str, str]:
    """What `broker.properties` says, without the addresses and folders of a particular broker."""
    lines = (HERE / "broker.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _cluster_id() -> str:
    # One in 64 would begin with a hyphen, which the storage tool takes for an option.
    return "A" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def _format(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise StartError(f"formatting Kafka's storage failed:\n{result.stdout}{result.stderr}")
