"""RayPipeline: describes files on a Ray cluster; the driver gets them in their order.

What goes over the wire are dataclasses of numbers, strings and arrays, as Ray serialises them; a
cluster has to be trusted as a whole.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.choices import DECODE_S
from indexer.errors import CbirError, ClusterError
from indexer.features.extractor import FeatureExtractor
from indexer.images.budget import Budget, default_bytes
from indexer.pipeline import PART, SPARE_WORKERS, Item, Pipeline, is_same
from indexer.tasks import Task

if TYPE_CHECKING:
    from ray.data import Dataset

AUTO = "auto"  # the cluster of this machine, which is started if there is none
BATCH_PARTS = 8  # that a worker is given at a time, for its threads to share
ANSWER_S = 10.0
RETRIES = 3  # of a batch whose worker died
PASSED_ON = ("CBIR_PRECISION",)  # on which vectors depend


class RayPipeline:
    """Describes files like `Pipeline`, with workers on the Ray cluster at `address`.

    There is a worker for each GPU, if there are any and the work is to be done `on_gpus`, or else
    for each machine, unless `workers` says how many. Each
    calls `load_extractor`, which Ray has to be able to serialise, once. Files with the bytes of
    `missing` images, by their SHA-256, are not described. A worker that dies is replaced, and what
    it was at is done again.
    """

    def __init__(
        self,
        address: str,
        load_extractor: Callable[[], FeatureExtractor],
        missing: Collection[bytes],
        *,
        workers: int | None = None,
        on_gpus: bool = True,
        part: int = PART,
        memory: int | None = None,
        time_limit_s: float = DECODE_S,
    ) -> None:
        self.address = address
        self._load_extractor = load_extractor
        self._missing = frozenset(missing)
        self._workers = workers
        self._on_gpus = on_gpus
        self._part = part
        self._memory = memory
        self._time_limit_s = time_limit_s

    def run(self, tasks: Sequence[Task]) -> Generator[list[Item], None, None]:
        """Yield the items of the tasks in order, a part at a time.

        Raises `ClusterError` where Ray or its cluster cannot be used, or workers keep dying.
        """
        with _connected(self.address), _explaining_faults():
            for row in self._dataset(tasks).iter_rows():
                yield list(row["items"])

    def describe(self, item: Item) -> list[Item]:
        """Return the items of a file, described in this process whether it is known or not."""
        here = Pipeline(self._load_extractor, lambda *_: False, time_limit_s=self._time_limit_s)
        return here.describe(item)

    def _dataset(self, tasks: Sequence[Task]) -> Dataset:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        shares = Shares.of(ray.nodes(), self._workers, on_gpus=self._on_gpus)
        batch = self._part * BATCH_PARTS
        rows = [{"task": task} for task in tasks]
        given = {
            "load_extractor": self._load_extractor,
            "missing": self._missing,
            "part": self._part,
            "threads": shares.threads,
            "memory": (self._memory or default_bytes()) // shares.on_a_machine,
            "time_limit_s": self._time_limit_s,
            "environment": {name: os.environ[name] for name in PASSED_ON if name in os.environ},
        }
        data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // batch))
        with warnings.catch_warnings():
            # Nothing takes the place of what is deprecated: without it, retries never end.
            warnings.filterwarnings("ignore", "`ray_remote_args`", DeprecationWarning)
            return data.map_batches(
                Worker,
                fn_constructor_kwargs=given,
                batch_size=batch,
                batch_format="numpy",
                concurrency=shares.workers,
                num_cpus=shares.cpus,
                num_gpus=shares.gpus,
                max_restarts=-1,
                max_task_retries=RETRIES,
            )


@dataclass(frozen=True)
class Shares:
    """How many workers there are, and what each may use of its machine."""

    workers: int
    on_a_machine: int
    cpus: int
    gpus: int

    @classmethod
    def of(
        cls,
        machines: Sequence[Mapping[str, Any]],
        workers: int | None = None,
        *,
        on_gpus: bool = True,
    ) -> Shares:
        """Share the machines of a cluster, as `ray.nodes` gives them; see `RayPipeline`."""
        alive = [machine["Resources"] for machine in machines if machine["Alive"]]
        cpus = [int(resources.get("CPU", 0)) for resources in alive]
        gpus = [int(resources.get("GPU", 0)) for resources in alive]
        if not any(cpus):
            raise ClusterError("The Ray cluster has no processors to work with.")
        with_cpus = [count for count in cpus if count]
        if workers is not None:
            on_a_machine = -(-workers // len(with_cpus))
            return cls(workers, on_a_machine, max(1, min(with_cpus) // on_a_machine), 0)
        if on_gpus and any(gpus):
            most = max(gpus)
            own = min(cpu // gpu for cpu, gpu in zip(cpus, gpus, strict=True) if gpu)
            return cls(sum(gpus), most, max(1, own), 1)
        return cls(len(with_cpus), 1, min(with_cpus), 0)

    @property
    def threads(self) -> int:
        """How many threads read and decode in a worker."""
        return self.cpus + SPARE_WORKERS


class Worker:
    """What runs on the cluster: a pipeline with its extractor, which is loaded once."""

    def __init__(
        self,
        load_extractor: Callable[[], FeatureExtractor],
        missing: Collection[bytes],
        *,
        part: int,
        threads: int,
        memory: int,
        time_limit_s: float,
        environment: Mapping[str, str],
    ) -> None:
        os.environ.update(environment)
        extractor = load_extractor()
        self._pipeline = Pipeline(
            lambda: extractor,
            lambda task, content_hash: is_same(task, content_hash) or content_hash in missing,
            workers=threads,
            part=part,
            budget=Budget(memory),
            time_limit_s=time_limit_s,
        )

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        parts = list(self._pipeline.run(batch["task"].tolist()))
        rows = np.empty(len(parts), object)
        for place, items in enumerate(parts):
            rows[place] = items
        return {"items": rows}


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Connect to a cluster, unless this process is connected; raises `ClusterError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports itself to a web service
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # notes on its own workings
    try:
        import ray.data
    except ImportError as error:
        raise ClusterError(f"Ray is not installed ({error}): pip install 'cbir[ray]'") from error
    if ray.is_initialized():
        yield
        return
    try:
        _require_answer(address)
        ray.init(
            None if address == AUTO else address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, OverflowError, ValueError, RuntimeError, ImportError) as error:
        raise ClusterError(f"The Ray cluster {address} cannot be used: {error}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # Ray prints what becomes of its workers on stdout, where only results belong.
    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            ray.shutdown()


def _require_answer(address: str) -> None:
    """Raise `OSError` where nobody answers at host:port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), ANSWER_S).close()


@contextmanager
def _explaining_faults() -> Iterator[None]:
    """Raise the `CbirError` of a worker, or a `ClusterError` for whatever else goes wrong there."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CbirError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, CbirError):
            raise cause from error
        last = str(error).strip().splitlines()[-1:]
        raise ClusterError(
            f"The workers on the Ray cluster failed: {' '.join(last)}. What was committed is safe; "
            "run the same command again to continue."
        ) from error
