"""Signatures: webhooks by which receivers know us, and links by which we know whom we asked.

Every secret follows from the one of the installation by HMAC-SHA256, so there is one to keep and none to look up.
"""

from __future__ import annotations

import binascii
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import msgspec

KEPT_IN = "notifier.secret"


class SecretError(Exception):
    """The secret cannot be read or written; the message says why and what to do."""


class BadLink(ValueError):
    """A link that was not made here, was changed on the way, or is too old."""


class Acknowledging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a link is for: who was told of which notice, and until when the link works."""

    organization: str
    notice: str
    channel: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and checks with the secret of the installation."""

    secret: bytes

    @classmethod
    def load(cls, given: str | None, folder: Path) -> Signer:
        """From the settings or, without one, from a file that is made at the first start. Raises `SecretError`."""
        if given:
            return cls(given.encode())
        file = folder / KEPT_IN
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return cls(_read(file))
            with os.fdopen(descriptor, "w") as made:
                made.write(token_hex(32))
                made.flush()
                os.fsync(made.fileno())
            return cls(_read(file))
        except OSError as error:
            raise SecretError(f"{file} cannot be used ({error}): set SPENDGATE_NOTIFIER_SECRET instead") from error

    def webhook_key(self, organization: str) -> str:
        """What an organization's receivers check signatures with."""
        return self._derive(f"webhook/{organization}").hex()

    def signature(self, organization: str, timestamp_s: int, body: bytes) -> str:
        """The value of `Spendgate-Signature`: `t=<seconds>,v1=<hex of HMAC-SHA256 over "<seconds>.<body>">`."""
        key = self.webhook_key(organization).encode()
        return f"t={timestamp_s},v1={hmac.new(key, b'%d.' % timestamp_s + body, sha256).hexdigest()}"

    def token(self, what: Acknowledging) -> str:
        """What a link carries."""
        payload = msgspec.json.encode(what)
        return _text(payload) + "." + _text(self._sign(payload))

    def read_token(self, token: str, now_ms: int) -> Acknowledging:
        """What a link was made for. Raises `BadLink`."""
        try:
            payload, signature = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
        except (ValueError, binascii.Error) as error:
            raise BadLink("the link is not whole") from error
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise BadLink("the link was not made here")
        what = msgspec.json.decode(payload, type=Acknowledging)
        if now_ms > what.until_ms:
            raise BadLink("the link is too old")
        return what

    def _sign(self, payload: bytes) -> bytes:
        return hmac.new(self._derive("acknowledge"), payload, sha256).digest()

    def _derive(self, purpose: str) -> bytes:
        return hmac.new(self.secret, purpose.encode(), sha256).digest()


def _read(file: Path) -> bytes:
    secret = file.read_bytes().strip()
    if len(secret) < 32:
        raise SecretError(f"{file} is shorter than a secret should be: remove it, and another is made")
    return secret


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
