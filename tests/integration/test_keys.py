"""API keys: only the right token opens, only digests are stored, and what is wrong with a file is said."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.adapters.keys import TOKEN, Keyring, KeysError, Principal, Role, new_key, read_keys, write_keys


def test_a_new_key_opens_as_what_it_was_made_for() -> None:
    token, record = new_key(Role.VIEWER, "acme")
    _, another = new_key(Role.ADMIN, "*")
    assert TOKEN.fullmatch(token)
    assert Keyring.of([another, record]).authenticate(token) == Principal(record.id, Role.VIEWER, "acme")


@given(st.text(max_size=80))
def test_no_other_token_opens(token: str) -> None:
    _, record = new_key(Role.EDGE, "acme")
    assert Keyring.of([record]).authenticate(token) is None


def test_every_character_of_a_token_counts() -> None:
    token, record = new_key(Role.EDGE, "acme")
    keyring = Keyring.of([record])
    for position in range(len(token)):
        other = "A" if token[position] != "A" else "B"
        assert keyring.authenticate(token[:position] + other + token[position + 1 :]) is None
    assert keyring.authenticate(token + "A") is None
    assert keyring.authenticate(record.sha256) is None


def test_no_two_keys_are_alike() -> None:
    assert len({new_key(Role.EDGE, "acme")[0] for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("organization", "asked", "covered"), [("acme", "acme", True), ("acme", "Acme", False), ("*", "acme", True)]
)
def test_a_key_covers_its_organization(organization: str, asked: str, covered: bool) -> None:
    assert Principal("key", Role.EDGE, organization).covers(asked) is covered


def test_a_keys_file_holds_digests_only_and_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secret" / "keys.json"
    token, record = new_key(Role.ADMIN, "*")
    write_keys(path, [record])
    assert read_keys(path) == [record]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert hashlib.sha256(token.encode()).hexdigest() in path.read_text()
    assert Keyring.load(path).authenticate(token) is not None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "cannot be read"),
        ("{}", "cannot be read"),
        ('[{"id": "k"}]', "missing required field"),
        (
            json.dumps([{"id": "k", "role": "root", "organization": "*", "sha256": "00", "created_at": ""}]),
            "Invalid enum value",
        ),
        (
            json.dumps([{"id": "k", "role": "edge", "organization": "a", "sha256": "xyz", "created_at": ""}]),
            "not hexadecimal",
        ),
    ],
)
def test_a_broken_keys_file_says_what_is_wrong(tmp_path: Path, text: str, advice: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysError, match=advice):
        Keyring.load(path)


def test_no_keys_file_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="SPENDGATE_KEYS_FILE"):
        Keyring.load(None)
    with pytest.raises(KeysError, match="does not exist"):
        Keyring.load(tmp_path / "keys.json")
