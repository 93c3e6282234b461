"""A Milvus server of the tests' own, in a temporary folder.

`python -m tests.milvus` installs it: 80 MB, in a folder of the user's cache, for its package does
not go with the product's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import platformdirs

VERSION = "2.3.5"
START_S = 120
MISSING = (
    "no Milvus server, or no pymilvus, is installed: python -m tests.milvus; "
    "pip install -e '.[dev]'"
)
# Ticks and checks of the server, in ms, shortened, for tests wait for many of them; and after how
# many seconds a killed one counts as gone.
QUICK = {
    "COMMON_SESSION_TTL": "3",
    "PROXY_TIMETICKINTERVAL": "20",
    "QUERYCOORD_CHECKCHANNELINTERVAL": "50",
    "QUERYCOORD_CHECKHANDOFFINTERVAL": "100",
    "QUERYCOORD_CHECKINTERVAL": "50",
    "QUERYCOORD_CHECKSEGMENTINTERVAL": "50",
    "QUERYCOORD_DISTPULLINTERVAL": "50",
}
UNPACK = """
import sys
from milvus import _initialize_data_files
_initialize_data_files(sys.argv[1])
"""
CONFIGURE = """
import json, sys
from milvus import MilvusServerConfig
MilvusServerConfig(data_dir=sys.argv[1], **json.loads(sys.argv[2])).resolve()
"""
PORTS = (
    "etcd_port",
    "root_coord_port",
    "proxy_port",
    "proxy_internal_port",
    "query_coord_port",
    "query_node_port",
    "index_coord_port",
    "index_node_port",
    "data_coord_port",
    "data_node_port",
)


@dataclass
class MilvusProcess:
    """A server on this machine; `kill` and `start` may be repeated."""

    folder: Path
    package: Path
    port: int
    ports: dict[str, int]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"milvus://127.0.0.1:{self.port}"

    def make(self) -> None:
        """Write its configuration, and start it."""
        _run(self.package, CONFIGURE, str(self.folder), json.dumps(self.ports))
        peers = f"http://127.0.0.1:{self.ports['etcd_peers']}"
        (self.folder / "etcd.yaml").write_text(
            f"name: default\ndata-dir: {self.folder}/etcd\nlisten-peer-urls: {peers}\n"
            f"listen-client-urls: http://127.0.0.1:{self.ports['etcd_port']}\n"
            f"advertise-client-urls: http://127.0.0.1:{self.ports['etcd_port']}\n"
            f"initial-advertise-peer-urls: {peers}\ninitial-cluster: default={peers}\n",
            "utf-8",
        )
        self.start()

    def start(self) -> None:
        programs = self.package / "bin"
        environment = (
            os.environ
            | QUICK
            | {
                "DEPLOY_MODE": "STANDALONE",
                "ETCD_CONFIG_PATH": str(self.folder / "etcd.yaml"),
                "LD_LIBRARY_PATH": str(programs),
                "METRICS_PORT": str(self.ports["metrics"]),
                "MILVUS_RUN_DIR": str(self.folder / "run"),
            }
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(programs / "milvus"), "run", "standalone"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text("utf-8")[-3000:]
            assert time.monotonic() < deadline, "Milvus does not start"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(60)
            self.process = None

    def collections(self) -> list[str]:
        """The names of all collections."""
        from indexer.store.vectors.milvus_server import MilvusServer
        from indexer.store.vectors.milvus_url import MilvusPlace

        server = MilvusServer(MilvusPlace.parse(self.url))
        try:
            return server.collections("")
        finally:
            server.close()

    def _answers(self) -> bool:
        from indexer.errors import StoreError

        try:
            self.collections()
        except StoreError:
            return False
        return True


def package_folder() -> Path:
    """Where the server is installed."""
    return platformdirs.user_cache_path("cbir-tests") / f"milvus-{VERSION}"


def find_server() -> Path | None:
    """Return the folder of the server; None where it, or the driver, is not installed."""
    folder = package_folder()
    return folder if (folder / "bin" / "milvus").exists() and find_spec("pymilvus") else None


def install() -> None:
    """Install the server, unless it is there."""
    folder = package_folder()
    if (folder / "bin" / "milvus").exists():
        return
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(part))
    subprocess.run([*pip, f"milvus=={VERSION}"], check=True)
    _run(part, UNPACK, str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


@contextmanager
def running_milvus(package: Path) -> Iterator[MilvusProcess]:
    """Run a new server; it is gone in the end."""
    folder = Path(tempfile.mkdtemp(prefix="cbir-milvus-"))
    try:
        ports = _free_ports(*PORTS, "etcd_peers", "metrics")
        server = MilvusProcess(folder, package, ports["proxy_port"], ports)
        try:
            server.make()
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(package: Path, script: str, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode()


def _free_ports(*names: str) -> dict[str, int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}


if __name__ == "__main__":
    install()
