"""The seal on access tokens: AES-256-GCM, with a key from a setting or from a file that only the owner reads.

A sealed token is `version (1 byte) | nonce (12) | ciphertext and tag`. The broker's name and the version are bound into
the seal: what was sealed for one broker does not open as another's.
"""

import base64
import binascii
import os
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.private_files import is_open_to_others, make_once
from alphapanda.settings import Settings, SettingsError

TOKEN_KEY_VARIABLE = "ALPHAPANDA_ZERODHA__TOKEN_KEY"  # noqa: S105 - the name of a setting
_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class SealBroken(AlphaPandaError):  # noqa: N818 - named for the condition
    """The sealed token does not open: another key, another broker's, or not what was written."""

    code = "SESSION_UNREADABLE"
    default_next_action = (
        f"Log in again. Where several machines share the ledger, give all of them the same {TOKEN_KEY_VARIABLE}."
    )


def token_key_file(settings: Settings) -> Path:
    """Where the key is kept when no setting gives it."""
    return settings.data_dir / "token.key"


class Vault:
    """Seals and opens. Two processes with one key open each other's seals."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return "Vault(***)"

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """With the key of the setting, else of the file, which is made (0600) where there is none.

        Raises SettingsError: for a key that is not 32 bytes in base64, and for a file that others can read.
        """
        given = settings.zerodha.token_key.get_secret_value().strip() if settings.zerodha.token_key else ""
        if given:
            return cls(_decoded(given, TOKEN_KEY_VARIABLE))
        path = token_key_file(settings)
        try:
            make_once(path, lambda: base64.b64encode(os.urandom(_KEY_BYTES)).decode())
            if is_open_to_others(path):
                raise SettingsError(
                    f"{path} can be read by others, and it opens the broker's sessions",
                    next_action="Delete it and log in to the broker again: a new key is made. "
                    f"If nobody else had access, `chmod 600 {path}` is enough.",
                )
            kept = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be used: {error.strerror or error}",
                next_action="Correct the folder's owner, choose another ALPHAPANDA_DATA_DIR, "
                f"or set {TOKEN_KEY_VARIABLE}.",
            ) from error
        return cls(_decoded(kept, str(path), next_action=f"Delete {path} and log in to the broker again."))

    def seal(self, broker: Broker, plaintext: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plaintext.encode(), _context(broker))

    def unseal(self, broker: Broker, sealed: bytes) -> str:
        """Raises SealBroken."""
        if sealed[:1] != _VERSION:
            raise SealBroken(f"the access token of {broker} is sealed in a way that this version does not know")
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, rest, _context(broker)).decode()
        except (InvalidTag, ValueError):
            # Without the cause: neither the key nor what was tried belongs into a traceback.
            raise SealBroken(f"the access token of {broker} does not open with this key") from None


def _context(broker: Broker) -> bytes:
    return b"alphapanda access token\x00" + _VERSION + broker.encode()


def _decoded(text: str, where: str, *, next_action: str | None = None) -> bytes:
    """Standard or URL-safe base64, padded or not."""
    try:
        unpadded = text.replace("-", "+").replace("_", "/").rstrip("=")
        key = base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(
            f"{where}: must be {_KEY_BYTES} bytes in base64",
            next_action=next_action or "Make one with `openssl rand -base64 32`, or leave it unset.",
        )
    return key
