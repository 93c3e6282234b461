"""What an index run is asked for, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexer.choices import DECODE_S, Damaged, Oversize, PageChoice
from indexer.shard import Shard
from indexer.tasks import ScanOptions

BLANK = "shows nothing but one even colour; it is kept, but no search finds it"


@dataclass(frozen=True)
class BuildOptions:
    """Choices of an index run.

    The first ones are those of `ReadingOptions`. What is given is remembered with a folder that is
    indexed as a whole; None is what was given before, or else the default. With `strict`, the first
    file or folder that cannot be read ends the run. `check` compares the bytes of all files.
    `workers` are threads, as many as the processor can use unless given; the pictures that they
    decode at the same time take up to `memory` bytes together, by default a share of the machine's,
    and `time_limit_s` each. With `ray`, the address of a cluster or `auto`, workers are processes
    there, on its GPUs if it has any and they are wanted; see `RayPipeline`.
    """

    max_pixels: int | None = None
    exclude: tuple[str, ...] | None = None
    sniff: bool | None = None
    pages: PageChoice | None = None
    damaged: Damaged | None = None
    oversize: Oversize | None = None
    shard: Shard | None = None
    strict: bool = False
    retry_failed: bool = False
    check: bool = False
    workers: int | None = None
    ray: str | None = None
    on_gpus: bool = True
    memory: int | None = None
    time_limit_s: float = DECODE_S

    def scan_options(self) -> ScanOptions:
        """Return what these choices say to a scan."""
        names = ("max_pixels", "exclude", "sniff", "pages", "damaged", "oversize", "shard")
        given = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        return ScanOptions(given, retry_failed=self.retry_failed, check=self.check)


@dataclass
class IndexReport:
    """What an index run did, as counts of images.

    `failed` holds (path, reason) of images without vectors, `warnings` of what else was wrong:
    folders that cannot be read, damage beside the pixels. `skipped` counts files that are no images
    by suffix, and `pages_passed_over` the further pages of files with several.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    pages_passed_over: int = 0
    regions: int = 0
    elapsed_s: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Images that were decoded and described, per second of the whole run."""
        return (self.added + self.updated) / self.elapsed_s if self.elapsed_s else 0.0


class IndexingStopped(KeyboardInterrupt):
    """An index run was stopped; `report` says what it did until then, all of which is committed."""

    def __init__(self, report: IndexReport) -> None:
        super().__init__()
        self.report = report
