"""API keys: who may do what, for which organization. Tokens are 256 random bits; only their SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from services.adapters.clock import now_ms
from services.core.events import from_ms

ANY_ORGANIZATION = "*"
TOKEN = re.compile(r"sg_(?:edge|viewer|admin)_[A-Za-z0-9_-]{43}")
NOBODY = (bytes(32), None)


class Role(StrEnum):
    """What a key is for: `edge` reports usage and asks, `viewer` reads, `admin` may do everything."""

    EDGE = "edge"
    VIEWER = "viewer"
    ADMIN = "admin"


class KeysError(Exception):
    """The keys file is missing or unusable; the message says what to do."""


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key as it is stored: never the token itself."""

    id: str
    role: Role
    organization: str
    sha256: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever presented a valid key."""

    key_id: str
    role: Role
    organization: str

    def covers(self, organization: str) -> bool:
        """Whether this key may touch the data of `organization`."""
        return self.organization in (organization, ANY_ORGANIZATION)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that a service accepts, indexed by digest.

    A look-up by SHA-256 leaks nothing through its timing: the digest of a guess is not the guesser's to choose, and
    Python's hash of it is keyed per process. The final comparison is constant-time for known and unknown tokens alike.
    """

    by_digest: dict[bytes, tuple[bytes, Principal]]

    @classmethod
    def of(cls, records: Iterable[KeyRecord]) -> Keyring:
        """A keyring of these records. Raises `KeysError` when a digest is not one."""
        try:
            stored = [(bytes.fromhex(r.sha256), Principal(r.id, r.role, r.organization)) for r in records]
        except ValueError as error:
            raise KeysError(f"a key's sha256 is not hexadecimal: {error}") from error
        return cls({entry[0]: entry for entry in stored})

    @classmethod
    def load(cls, path: Path | None) -> Keyring:
        """Read the keys file. Raises `KeysError`, with advice, when there is none or it cannot be read."""
        if path is None:
            raise KeysError("no API keys: set SPENDGATE_KEYS_FILE to a keys file (`spendgate up` writes one)")
        return cls.of(read_keys(path))

    def authenticate(self, token: str) -> Principal | None:
        """The principal of a token, or None."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        stored, principal = self.by_digest.get(digest, NOBODY)
        return principal if hmac.compare_digest(digest, stored) else None


def new_key(role: Role, organization: str) -> tuple[str, KeyRecord]:
    """A fresh token, to be shown once, and the record to store. `organization` may be `*`."""
    token = f"sg_{role}_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(token.encode()).hexdigest()
    created_at = from_ms(now_ms()).isoformat(timespec="seconds")
    record = KeyRecord(
        id=f"key-{digest[:12]}",
        role=role,
        organization=organization,
        sha256=digest,
        created_at=created_at,
    )
    return token, record


def read_keys(path: Path) -> list[KeyRecord]:
    """The records of a keys file. Raises `KeysError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[KeyRecord])
    except FileNotFoundError as error:
        raise KeysError(f"the keys file {path} does not exist: create one with `spendgate up`") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise KeysError(f"the keys file {path} cannot be read: {error}") from error


def write_keys(path: Path, records: Sequence[KeyRecord]) -> None:
    """Replace the keys file at once, readable by its owner only."""
    draft = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(list(records))))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
