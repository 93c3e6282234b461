"""LocalVectorStore: the vectors of a store in files of its folder, searched with FAISS."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import CatalogState
from indexer.store.folder import open_folder
from indexer.store.layout import is_vector_file
from indexer.store.vectors.faults import KindFaults, WantedRows
from indexer.store.vectors.file_inspection import inspect_files
from indexer.store.vectors.index_types import find_index_type
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_contents import LocalContents
from indexer.store.vectors.protocol import Begin, KindReport
from indexer.store.vectors.vector_files import VectorFiles, live_names

if TYPE_CHECKING:  # reading needs no SQLAlchemy, which takes long to import
    from indexer.store.catalog.transaction import CatalogTransaction

TAIL_ROWS = 50_000  # new vectors that are compared one by one before they go into the IVF index
TAIL_SHARE = 0.1
OUTGROWN = 4  # times as many rows as the index was trained for: time to retrain it


class LocalVectorStore(VectorFiles):
    """See `VectorStore`."""

    drops_at_once = False

    def require_usable(self) -> None:
        """Do nothing: the folder is made with the store."""

    def contents(self, kind: str, state: CatalogState) -> LocalContents:
        return LocalContents([self.read(entry) for entry in state.files(kind).segments])

    def update_index(
        self,
        begin: Begin,
        kind: str,
        index_type: str,
        *,
        retrain: bool,
        progress: Progress = no_progress,
    ) -> KindReport:
        rows = self.rows(kind)
        wanted = find_index_type(index_type, len(rows))
        entry = self.ivf_entry(kind)
        if wanted == "exact":
            if entry is not None:
                self._replace(begin, kind, None, 0)
            return KindReport(kind, len(rows), wanted, None, None)
        outgrown = entry is not None and len(rows) > OUTGROWN * entry.trained_rows
        if entry is None or entry.index_type != wanted or retrain or outgrown:
            ivf = IvfIndex.train_cells(rows, wanted, progress)
            progress("training the codes", 0, 0)
            ivf.train_codes(rows)
            trained_rows = len(rows)
        elif len(rows) - entry.rows >= max(TAIL_ROWS, TAIL_SHARE * entry.rows):
            ivf = self.open_ivf(entry, to_extend=True)
            trained_rows = entry.trained_rows
        else:
            return KindReport(kind, len(rows), wanted, entry.nprobe, entry.recall)
        ivf.extend(rows, progress)
        ivf.calibrate(rows, progress)
        self._replace(begin, kind, ivf, trained_rows)
        return KindReport(kind, len(rows), wanted, ivf.nprobe, ivf.recall)

    def _replace(self, begin: Begin, kind: str, ivf: IvfIndex | None, trained_rows: int) -> None:
        with begin() as change:
            self.replace_ivf(change, kind, ivf, trained_rows)

    def leftovers(self, state: CatalogState) -> list[str]:
        live = live_names(state)
        with open_folder(self.folder) as folder:
            left = [n for n in folder.names() if is_vector_file(n) and n.split(".")[0] not in live]
        return [f"{len(left)} vector files belong to no commit."] if left else []

    def inspect(
        self,
        state: CatalogState,
        kind: str,
        wanted: WantedRows,
        progress: Progress = no_progress,
    ) -> KindFaults:
        return inspect_files(self, state, kind, wanted, progress)

    def take_out(
        self,
        change: CatalogTransaction,
        faults: KindFaults,
        images: Collection[int],
        progress: Progress = no_progress,
    ) -> None:
        """Write the vectors of a kind again without those of the images, if there are any."""
        live = change.segments(faults.kind)
        entries = [e for e in live if e.id not in faults.unreadable]
        change.drop_segments([e for e in live if e.id in faults.unreadable])
        gone = np.array([*images, *change.removed_images().tolist()], np.int64)
        keep = [~np.isin(self.read(entry).image_ids.all(), gone) for entry in entries]
        if faults.unreadable or faults.unchecked or not all(kept.all() for kept in keep):
            change.drop_ivf(faults.kind)
            self.write_as_one(change, entries, keep, None, progress)
        elif faults.ivf is not None:
            change.drop_ivf(faults.kind)

    def drop(self) -> None:
        """Do nothing: the files go with the store's own."""

    def close(self) -> None:
        """Do nothing: no connection is open."""
