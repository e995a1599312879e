"""A session is a signed cookie: it cannot be forged, ends by itself, and goes with its key. Guessing is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.adapters.keys import Keyring, Role, new_key
from services.console.sessions import COOKIE, Attempts, Sessions, ensure_secret
from services.console.sign_in import next_path

VIEWER, VIEWER_RECORD = new_key(Role.VIEWER, "acme")
EDGE, EDGE_RECORD = new_key(Role.EDGE, "acme")
KEYRING = Keyring.of([VIEWER_RECORD, EDGE_RECORD])
SECRET = bytes(range(32))
HOUR_MS = 3_600_000


def sessions(secret: bytes = SECRET, keyring: Keyring = KEYRING) -> Sessions:
    return Sessions(keyring, secret, lasts_ms=HOUR_MS)


def cookie_of(token: str) -> str:
    cookie = sessions().sign_in(token, 0)
    assert cookie is not None
    return cookie


def test_a_key_signs_in_and_the_cookie_does_not_hold_it() -> None:
    cookie = cookie_of(VIEWER)
    principal = sessions().principal({COOKIE: cookie}, 0)
    assert principal is not None
    assert (principal.organization, principal.role) == ("acme", Role.VIEWER)
    assert VIEWER not in cookie


@pytest.mark.parametrize("token", ["", "sg_viewer_" + "x" * 43, EDGE])
def test_an_unknown_key_and_a_gateways_do_not(token: str) -> None:
    assert sessions().sign_in(token, 0) is None


def test_a_session_ends() -> None:
    cookie = cookie_of(VIEWER)
    assert sessions().principal({COOKIE: cookie}, HOUR_MS - 1) is not None
    assert sessions().principal({COOKIE: cookie}, HOUR_MS) is None


def test_a_session_goes_with_its_key() -> None:
    assert sessions(keyring=Keyring.of([EDGE_RECORD])).principal({COOKIE: cookie_of(VIEWER)}, 0) is None


def test_any_change_of_a_cookie_makes_it_worthless() -> None:
    cookie = cookie_of(VIEWER)
    for place in range(len(cookie)):
        other = "A" if cookie[place] != "A" else "B"
        assert sessions().principal({COOKIE: cookie[:place] + other + cookie[place + 1 :]}, 0) is None
    assert sessions(secret=bytes(32)).principal({COOKIE: cookie}, 0) is None


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "\udcff.\udcff", "é.é", "." * 9000])
def test_rubbish_is_nobody(cookie: str) -> None:
    assert sessions().principal({COOKIE: cookie}, 0) is None


def test_ten_failures_in_five_minutes_are_enough() -> None:
    attempts = Attempts()
    for at_ms in range(10):
        assert attempts.wait_ms("1.2.3.4", at_ms) == 0
        attempts.failed("1.2.3.4", at_ms)
    assert attempts.wait_ms("1.2.3.4", 10) == 5 * 60_000 - 10
    assert attempts.wait_ms("1.2.3.5", 10) == 0
    assert attempts.wait_ms("1.2.3.4", 5 * 60_000) == 0


def test_failures_of_very_many_addresses_do_not_fill_the_memory() -> None:
    attempts = Attempts()
    for number in range(10_200):
        attempts.failed(str(number), 0)
    assert len(attempts._failed) == 10_000


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    secret = ensure_secret(tmp_path / "console")
    assert len(secret) == 32
    assert ensure_secret(tmp_path / "console") == secret
    (file,) = (tmp_path / "console").iterdir()
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/o/acme?x=1", "/o/acme?x=1"),
        ("", "/"),
        ("o", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\b", "/"),
        ("https://evil.example/", "/"),
        ("/a\r\nSet-Cookie: x=1", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_after_signing_in_nobody_is_sent_to_another_site(wanted: str, path: str) -> None:
    assert next_path(wanted) == path
