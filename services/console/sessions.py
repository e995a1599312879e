"""Who a browser is: an API key, shown once, turns into a signed cookie that ends by itself."""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import DecodeError, Struct, json

from services.adapters.keys import Keyring, Principal, Role

COOKIE: Final = "spendgate_session"
KEY_FILE: Final = "session.key"
SECRET_BYTES: Final = 32
MAY_SIGN_IN: Final = (Role.VIEWER, Role.ADMIN)

_ATTEMPTS: Final = 10
_ATTEMPTS_WITHIN_MS: Final = 5 * 60_000
_ADDRESSES_MAX: Final = 10_000


class _Claims(Struct, frozen=True, array_like=True):
    """What the cookie says: whose key signed in, and until when that holds."""

    key_id: str
    until_ms: int


class Sessions:
    """Issues and reads session cookies.

    A cookie names the key that signed in, never the key itself; role and organization are looked up in the keyring each
    time, so a key that is taken out of the keys file takes its sessions with it. Nothing is kept on the server.
    """

    def __init__(self, keyring: Keyring, secret: bytes, *, lasts_ms: int) -> None:
        assert len(secret) >= SECRET_BYTES, "a shorter secret could be guessed"
        self._keyring, self._secret, self._lasts_ms = keyring, secret, lasts_ms
        self._principals = {principal.key_id: principal for _, principal in keyring.by_digest.values()}

    @property
    def lasts_s(self) -> int:
        """How long a session lasts, in seconds."""
        return self._lasts_ms // 1000

    def sign_in(self, token: str, now_ms: int) -> str | None:
        """The cookie's value for an API key; None when it is unknown, or of a gateway, which has nothing to read."""
        principal = self._keyring.authenticate(token)
        if principal is None or principal.role not in MAY_SIGN_IN:
            return None
        body = urlsafe_b64encode(json.encode(_Claims(principal.key_id, now_ms + self._lasts_ms))).decode()
        return f"{body}.{self._signature(body)}"

    def principal(self, cookies: Mapping[str, str], now_ms: int) -> Principal | None:
        """Who sent these cookies; None for a cookie that is missing, forged or over."""
        body, _, signature = cookies.get(COOKIE, "").rpartition(".")
        if not hmac.compare_digest(_bytes(signature), _bytes(self._signature(body))):
            return None
        try:
            claims = json.decode(urlsafe_b64decode(body), type=_Claims)
        except (ValueError, DecodeError):
            return None
        return self._principals.get(claims.key_id) if now_ms < claims.until_ms else None

    def _signature(self, body: str) -> str:
        return hmac.digest(self._secret, _bytes(body), "sha256").hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Attempts:
    """Failed sign-ins by address: ten in five minutes, then none until the first of them is that old."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[int]] = OrderedDict()

    def wait_ms(self, address: str, now_ms: int) -> int:
        """How long the address has to wait before it may try again; 0 is now."""
        failed = self._recent(address, now_ms)
        return failed[0] + _ATTEMPTS_WITHIN_MS - now_ms if len(failed) >= _ATTEMPTS else 0

    def failed(self, address: str, now_ms: int) -> None:
        """Count a failure. Of very many addresses, those that failed longest ago are forgotten."""
        self._failed[address] = [*self._recent(address, now_ms), now_ms][-_ATTEMPTS:]
        self._failed.move_to_end(address)
        while len(self._failed) > _ADDRESSES_MAX:
            self._failed.popitem(last=False)

    def _recent(self, address: str, now_ms: int) -> list[int]:
        return [at_ms for at_ms in self._failed.get(address, ()) if at_ms > now_ms - _ATTEMPTS_WITHIN_MS]


def ensure_secret(folder: Path) -> bytes:
    """The secret that signs cookies: made once, readable by its owner only, and kept, so that restarts end no session.

    Raises OSError when the folder cannot be written.
    """
    path = folder / KEY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{KEY_FILE}.{secrets.token_hex(4)}"
    try:
        secret = path.read_bytes()
        if len(secret) >= SECRET_BYTES:
            return secret
    except FileNotFoundError:
        pass
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path.read_bytes()
