"""What a start depends on is checked first, and what is wrong is said with advice."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from deploy.local.cache import SetupError
from deploy.local.credentials import Credentials
from deploy.local.kafka.jars import differences, ensure_jars
from deploy.local.ports import Ports
from deploy.local.stack import Stack
from services.adapters.keys import Keyring, Role


def test_a_port_is_kept_unless_somebody_else_has_it(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = Ports(file, {}).of("kafka")
    assert Ports(file, {}).of("kafka") == first
    with socket.create_server(("127.0.0.1", first)):
        assert Ports(file, {}).of("kafka") != first


def test_a_port_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    assert Ports(file, {"ingest": 8081}).of("ingest") == 8081
    assert json.loads(file.read_text()) == {"ingest": 8081}


def test_each_role_gets_a_key_once(tmp_path: Path) -> None:
    made = Credentials.ensure(tmp_path / "keys")
    again = Credentials.ensure(tmp_path / "keys")
    ring = Keyring.load(again.keys_file)
    for role in Role:
        principal = ring.authenticate(made.token(role))
        assert principal is not None
        assert (principal.role, principal.organization) == (role, "*")
        assert again.token(role) == made.token(role)
        assert made.token_file(role).stat().st_mode & 0o077 == 0


async def test_an_unknown_service_is_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no service is named 'agregator'"):
        await Stack(tmp_path / "data", ["ingest", "agregator"]).__aenter__()
    assert not (tmp_path / "data").exists()


def test_a_jar_that_is_not_the_locked_one_is_noticed(tmp_path: Path) -> None:
    jars = sorted(ensure_jars().glob("*.jar"))
    for jar in jars[1:]:
        (tmp_path / jar.name).symlink_to(jar)
    (tmp_path / jars[0].name).write_bytes(b"something else")
    (tmp_path / "extra.jar").write_bytes(b"")
    assert differences(tmp_path) == [jars[0].name, "extra.jar"]
