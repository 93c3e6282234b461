"""Trust: telling the stores that this account made from those of others.

A store may come from anywhere. Each commit is sealed with a key that never leaves this account: a
keyed hash (HMAC, RFC 2104) of the catalogue's checksum, which covers its folders and the checksums
of all vector and index files. What somebody else has made or changed has no such seal.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import platformdirs

KEY_BYTES = 32
NO_SEAL = ""


def seal(checksum: str) -> str:
    """Return this account's seal of a checksum; none where the account has no place for a key."""
    file = key_file()
    key = _read_key(file) or _make_key(file)
    return NO_SEAL if key is None else _sealed(key, checksum)


def is_seal_of(checksum: str, seal: object) -> bool:
    """Whether a seal is this account's, and of that checksum."""
    key = _read_key(key_file())
    return key is not None and hmac.compare_digest(
        _sealed(key, checksum).encode(), str(seal).encode()
    )


def trusts_all() -> bool:
    """Whether `CBIR_TRUST=1` says that every store that is opened may be trusted."""
    return os.environ.get("CBIR_TRUST") == "1"


def key_file() -> Path:
    """Return where the key is kept."""
    return platformdirs.user_data_path("cbir") / "seal.key"


def _sealed(key: bytes, checksum: str) -> str:
    return hmac.new(key, checksum.encode(), hashlib.sha256).hexdigest()


def _read_key(file: Path) -> bytes | None:
    try:
        key = file.read_bytes()
    except OSError:
        return None
    return key if len(key) == KEY_BYTES else None


def _make_key(file: Path) -> bytes | None:
    """Make the key of this account, readable by nobody else; another process may be quicker."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(secrets.token_bytes(KEY_BYTES))
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(part, file)  # unlike a rename, it never replaces a key
        finally:
            part.unlink()
    except OSError:
        pass  # there is one, or no place for one: reading it tells
    return _read_key(file)
