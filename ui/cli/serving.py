"""What the commands that serve share: where, to whom, and within which limits."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.errors import CbirError
from indexer.store.layout import STORE_NAME
from indexer.store.places import find_store, is_store
from ui.cli.shell import open_store

if TYPE_CHECKING:  # options are shown without loading the server
    from starlette.middleware import Middleware

    from ui.api.limits import Limits
    from ui.api.service import Service

LOOPBACK = "127.0.0.1"  # by number: a name may lead to another address, where anybody can listen
PORT = 8501
TOKEN_CHARACTERS = 16  # at least
SHARING = "Sharing"
LIMITS = "Limits"

HostOption = Annotated[
    str, typer.Option(help="The address to serve at: 0.0.0.0 for all of this machine's.")
]
PortOption = Annotated[int, typer.Option(min=1, max=65535, help="The port to serve at.")]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="CBIR_TOKEN",
        help="Let in only who sends this token. Rather set CBIR_TOKEN: all users of a machine can "
        "read the options of programs.",
        show_default=False,
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        help="A name under which the server is reached, such as photos.example.com; may be given "
        "again.",
        show_default="this machine's own; any, where it serves others with a token",
        rich_help_panel=SHARING,
    ),
]
CorsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cors",
        help="A site whose pages may ask, such as https://shop.example.com; may be given again.",
        rich_help_panel=SHARING,
    ),
]
CertOption = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert", help="Serve by TLS with this certificate (PEM).", rich_help_panel=SHARING
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--tls-key", help="The key of the certificate (PEM).", rich_help_panel=SHARING),
]
ProxyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--proxy",
        help="The address of a proxy whose X-Forwarded headers are believed; may be given again.",
        rich_help_panel=SHARING,
    ),
]
UploadsOption = Annotated[
    Path | None,
    typer.Option(
        "--uploads",
        help="Let clients of the API put images, which are kept in this folder.",
        rich_help_panel=SHARING,
    ),
]


BodyOption = Annotated[
    float,
    typer.Option(
        "--max-body-mb",
        min=0.001,
        help="Refuse larger requests.",
        rich_help_panel=LIMITS,
    ),
]
BodyTimeOption = Annotated[
    float,
    typer.Option(
        "--body-timeout",
        min=0.1,
        help="Seconds that a request may arrive in.",
        rich_help_panel=LIMITS,
    ),
]
SearchTimeOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        min=0.1,
        help="Seconds that a search may take.",
        rich_help_panel=LIMITS,
    ),
]
AtWorkOption = Annotated[
    int | None,
    typer.Option(
        "--searches",
        min=1,
        help="Searches that run at a time.",
        show_default="one a processor",
        rich_help_panel=LIMITS,
    ),
]
WaitingOption = Annotated[
    int,
    typer.Option(
        "--queue",
        min=0,
        help="Searches that wait for their turn; further ones are refused (429).",
        rich_help_panel=LIMITS,
    ),
]


def is_sendable(token: str) -> bool:
    """Whether a token arrives unchanged in the header of a request."""
    return token.isascii() and token.isprintable() and token == token.strip()


@dataclass(frozen=True)
class Place:
    """Where a server is reached, and by whom."""

    host: str
    port: int
    token: str | None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    proxies: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The address of the server."""
        scheme = "https" if self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/"

    def guards(self) -> list[Middleware]:
        """Return what every request passes."""
        from ui.access import guards

        hosts = self.hosts if self.hosts or self.is_local else ("*",)
        return guards(self.token, self.port, hosts=hosts, origins=self.origins)

    def check(self) -> None:
        """Raise `CbirError` where nothing can, or should, be served here."""
        if self.token is not None and len(self.token) < TOKEN_CHARACTERS:
            raise CbirError(f"The token is too short: it needs {TOKEN_CHARACTERS} characters.")
        if self.token is not None and not is_sendable(self.token):
            raise CbirError(
                "The token can have printable ASCII characters only, and no space at its ends."
            )
        if self.token is None and not self.is_local:
            raise CbirError(
                f"{self.host} is reached from other machines: set CBIR_TOKEN to a secret of "
                f"{TOKEN_CHARACTERS} characters or more, which clients have to send."
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise CbirError("TLS needs both --tls-cert and --tls-key.")
        for file in (self.tls_cert, self.tls_key):
            if file is not None and not file.is_file():
                raise CbirError(f"There is no file {file}.")
        self._require_certificate()
        self._require_free()

    def _require_certificate(self) -> None:
        if self.tls_cert is None or self.tls_key is None:
            return
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls_cert, self.tls_key, password=lambda: "")
        except OSError as error:  # ssl.SSLError is one
            raise CbirError(
                f"{self.tls_cert} and {self.tls_key} are not a certificate and its key, in PEM and "
                f"without a pass phrase: {error.strerror or error}."
            ) from error

    def _require_free(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise CbirError(
                    f"Nothing can be served at {self.host}, port {self.port}: {error.strerror}. "
                    "Perhaps another cbir serves there; choose another port with --port."
                ) from error


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_place(store: Path | None, uploads: Path | None) -> Path:
    """Return the folder of the store to serve.

    Where images can be put, a store that is named, and is not there yet, is created.
    """
    if store is not None and uploads is not None and not is_store(store):
        from indexer.features.spec import FeatureSpec
        from indexer.store.store import Store

        Store.create(store, FeatureSpec.create()).close()
    opened = open_store(store)
    opened.close()
    return opened.path.resolve()


def choose_place(store: Path | None, uploads: Path | None) -> Path:
    """Return the folder of the store that the pages show, where there may be none yet.

    It is the one that is named, else that of the current folder. Where images can be put, a missing
    store is created. Raises `CbirError` where there is one that cannot be opened, or a file.
    """
    place = store or find_store() or Path(STORE_NAME)
    if uploads is not None or is_store(place):
        return open_place(place, uploads)
    for folder in (place, *place.absolute().parents):
        if folder.exists() and not folder.is_dir():
            raise CbirError(
                f"No store can be at {place}: {folder} is a file. Name a folder with --store."
            )
    return place.resolve()


def make_service(store: Path, limits: Limits, uploads: Path | None) -> Service:
    """Return what the API answers with; the folder of uploads is made."""
    from ui.api.service import Service

    if uploads is not None:
        uploads = Path(os.path.abspath(uploads))
        try:
            uploads.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CbirError(f"{uploads} cannot be made: {error.strerror}.") from error
    return Service(store, limits, uploads)
