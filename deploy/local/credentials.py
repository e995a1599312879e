"""The stack's own secrets: an API key of each role, and ClickHouse's password. `python -m` makes them too."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from services.adapters.keys import ANY_ORGANIZATION, Role, new_key, write_keys

KEYS_FILE = "keys.json"
PASSWORD_FILE = "clickhouse.password"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets in a folder that only its owner reads."""

    folder: Path

    @classmethod
    def ensure(cls, folder: Path) -> Credentials:
        """Those of `folder`, made when there are none."""
        credentials = cls(folder)
        if not credentials.keys_file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            credentials._make()
        return credentials

    @property
    def keys_file(self) -> Path:
        """What services are told to read: digests of the tokens."""
        return self.folder / KEYS_FILE

    @property
    def clickhouse_password(self) -> str:
        """The password of ClickHouse's user `default`."""
        return (self.folder / PASSWORD_FILE).read_text()

    def token_file(self, role: Role) -> Path:
        """Where the token of a role is."""
        return self.folder / f"{role}.token"

    def token(self, role: Role) -> str:
        """The token of a role, good for every organization."""
        return self.token_file(role).read_text()

    def _make(self) -> None:
        """The keys file comes last: once it is there, everything is."""
        write_secret(self.folder / PASSWORD_FILE, secrets.token_urlsafe(24))
        records = []
        for role in Role:
            token, record = new_key(role, ANY_ORGANIZATION)
            write_secret(self.token_file(role), token)
            records.append(record)
        write_keys(self.keys_file, records)


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


if __name__ == "__main__":
    Credentials.ensure(Path(sys.argv[1]))
