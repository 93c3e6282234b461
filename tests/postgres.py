"""A PostgreSQL server of the tests' own, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

USER, PASSWORD = "cbir", "open sesame"
DATABASE = "photos"
UNPRIVILEGED = "nobody"  # the server refuses to run as root
MISSING = (
    "no initdb, or no psycopg, is installed: apt-get install postgresql; pip install -e '.[dev]'"
)


@dataclass
class Server:
    """A server on this machine; `stop` and `start` may be repeated."""

    folder: Path
    programs: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its database, with the password."""
        return self.url_of(PASSWORD)

    def url_of(self, password: str, database: str = DATABASE) -> str:
        secret = password.replace(" ", "%20")
        return f"postgresql://{USER}:{secret}@127.0.0.1:{self.port}/{database}"

    def make(self) -> None:
        """Make the data of a new server, which asks for a password."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD, "utf-8")
        secret.chmod(0o644)
        self._run("initdb", "-D", self._data, "-U", USER, "--pwfile", str(secret), *INITDB)
        self.start()
        self.run_sql("postgres", f"CREATE DATABASE {DATABASE} TEMPLATE template0 {SORTED}")

    def start(self) -> None:
        options = ("-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p", str(self.port))
        sockets = ("-c", f"unix_socket_directories={self.folder}")
        command = [*_as_user(), str(self.programs / "postgres"), "-D", self._data]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *options, *sockets], stderr=log, stdout=log)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text("utf-8")
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once, as `pg_ctl stop -m fast` does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            self.process = None

    def run_sql(self, database: str, *statements: str) -> list[tuple[object, ...]]:
        """Run statements, and return the rows of the last one."""
        import psycopg

        url = self.url_of(PASSWORD, database)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url_of(PASSWORD, "postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_user(), str(self.programs / program), *arguments]
        done = subprocess.run(command, capture_output=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stderr.decode()


INITDB = ("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")


# As in a dictionary, not by bytes: the order that cbir asks for must not depend on the database.
SORTED = "LOCALE_PROVIDER icu ICU_LOCALE 'en'"


def find_programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, which Debian keeps out of PATH.

    None where they, or the driver, are not installed.
    """
    if find_spec("psycopg") is None:
        return None
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    places = [*debian, *([Path(found).resolve().parent] if found else [])]
    return next((place for place in places if (place / "postgres").exists()), None)


@contextmanager
def running_server(programs: Path) -> Iterator[Server]:
    """Run a new server; it is gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="cbir-postgres-"))  # short: it holds a Unix socket
    try:
        if os.getuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        server = Server(folder, programs, _free_port())
        try:
            server.make()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_user() -> Sequence[str]:
    if os.getuid() != 0:
        return ()
    return ("setpriv", f"--reuid={UNPRIVILEGED}", "--clear-groups", "--")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
