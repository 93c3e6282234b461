"""MilvusPlace: which Milvus server, and which database of it, a URL names."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from indexer.errors import StoreError

SCHEMES = {"milvus": False, "milvus+tls": True}
PORT = 19530
DATABASE = "default"
EXAMPLE = "milvus://user:password@host:19530/database"


@dataclass(frozen=True)
class MilvusPlace:
    """A database of a server; `is_secure` asks for TLS. The password is in no representation."""

    host: str
    port: int = PORT
    database: str = DATABASE
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    is_secure: bool = False

    @classmethod
    def parse(cls, url: str) -> MilvusPlace:
        """Return what a URL names; raises `StoreError`, which does not repeat it."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _no_url() from None
        if not host or not _is_plain(parts) or not url.isprintable():
            raise _no_url()
        return cls(
            host,
            PORT if port is None else port,
            unquote(parts.path.strip("/")) or DATABASE,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            SCHEMES[parts.scheme],
        )

    @property
    def uri(self) -> str:
        """The address of the server, as pymilvus takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    def __str__(self) -> str:
        return f"the Milvus database {self.database} on {self.host}:{self.port}"


def _is_plain(parts: SplitResult) -> bool:
    """Whether a URL is of a scheme that is known, and names no more than a database."""
    is_one_name = "/" not in parts.path.strip("/")
    return parts.scheme in SCHEMES and is_one_name and not (parts.query or parts.fragment)


def _no_url() -> StoreError:
    return StoreError(f"The place of the vectors is no URL such as {EXAMPLE}, or milvus+tls://….")
