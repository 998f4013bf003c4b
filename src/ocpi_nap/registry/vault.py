"""Tokens that we must send, encrypted at rest (R12)."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken


class VaultError(ValueError):
    """The key is no key; the text says which file it is in."""


class Vault:
    """Encrypts with a key that lies beside the data, readable by its owner only."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    @classmethod
    def open(cls, data_dir: Path) -> Vault:
        """The key of ``data_dir/token.key``, made on first use; raises VaultError, or OSError when it cannot be read."""
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / "token.key"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            try:
                return cls(path.read_bytes().strip())
            except ValueError:
                raise VaultError(f"{path} holds no key") from None
        key = Fernet.generate_key()
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
        return cls(key)

    def seal(self, token: str) -> bytes:
        """Encrypted, as text that can stand in the database."""
        return self._fernet.encrypt(token.encode())

    def unseal(self, sealed: bytes) -> str:
        """The token; raises ValueError when the key is not the one it was sealed with."""
        try:
            return self._fernet.decrypt(bytes(sealed)).decode()
        except InvalidToken:
            raise ValueError(
                "the stored token cannot be read: token.key in the data directory is not the one it was written with"
            ) from None
