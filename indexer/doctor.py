"""Mending what can be mended of a store without loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.adapt import adapt_store
from indexer.build import index_photos
from indexer.diagnosis import Diagnosis, examine
from indexer.errors import StoreCorruptError
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.progress import Progress, no_progress
from indexer.reading import ReadingOptions
from indexer.store.places import require_inside, resolve_root
from indexer.store.repair import renew_state, set_catalog_aside, take_out
from indexer.store.settings import StoreSettings
from indexer.store.store import Store
from indexer.store.trust import trusts_all

LoadExtractor = Callable[[Store], Callable[[], FeatureExtractor]]


@dataclass
class Repair:
    """What was done, in words, and what `examine` says of the store afterwards."""

    done: list[str]
    after: Diagnosis


@dataclass(frozen=True)
class Doctor:
    """Mends stores: `load_extractor` gives what loads the extractor of a store.

    `stop` is asked at times, see `index_photos`.
    """

    load_extractor: LoadExtractor
    progress: Progress = no_progress
    stop: Callable[[], bool] = lambda: False

    def repair(self, path: Path, diagnosis: Diagnosis) -> Repair:
        """Mend what `examine` found; photos are described again where their vectors are damaged.

        An interruption loses nothing: the next run, of this or of `index_photos`, continues. Raises
        what `index_photos` does, `StoreCorruptError` where the store cannot even be made again, and
        `UntrustedStoreError`.
        """
        done: list[str] = []
        if diagnosis.has_bad_state and not diagnosis.is_beyond_repair:
            renew_state(path)
            done.append(
                "The catalogue's small tables were taken as they are; see in cbir info that the "
                "folders in them are the right ones."
            )
            diagnosis = examine(path, self.progress)
        if diagnosis.is_beyond_repair:
            done += self._make_again(path)
        elif not diagnosis.is_clean:
            done += self._mend(path, diagnosis)
        return Repair(done, examine(path, self.progress))

    def _mend(self, path: Path, diagnosis: Diagnosis) -> list[str]:
        store = Store.open(path)
        try:
            if diagnosis.has_lost_whitening:
                _require_photos(store, diagnosis)
            again = take_out(
                store,
                diagnosis.catalog,
                diagnosis.kinds,
                all_again=diagnosis.has_lost_whitening,
                progress=self.progress,
            )
            _delete_strays(store)
            done = ["What is damaged was taken out, and what was left over deleted."]
            if again or diagnosis.catalog.images:
                done += self._describe(store, again)
            if diagnosis.has_lost_whitening:
                adapt_store(store, self.progress)
                done.append("The whitening of the collection was learned again.")
            update_indexes(store, self.progress)
            if diagnosis.catalog.concepts:
                done.append("The damaged concepts are gone: teach them again.")
            if diagnosis.catalog.fields or diagnosis.catalog.annotations:
                done.append("Damaged annotations are gone: annotate these images again.")
            if diagnosis.catalog.decisions:
                done.append("Damaged decisions about duplicates are gone: decide again.")
            return done
        finally:
            store.close()

    def _describe(self, store: Store, again: Sequence[int]) -> list[str]:
        report = index_photos(store, [], self.load_extractor(store), None, self.progress, self.stop)
        done = [f"{report.added + report.updated} images were described from their photos."]
        left = {row.id for row in store.known_files().values()} & {*again}
        if left:
            done.append(
                f"{len(left)} images cannot be described, for their photos are not there or cannot "
                "be read. cbir index does it once they are back."
            )
        return done

    def _make_again(self, path: Path) -> list[str]:
        settings = StoreSettings.read(path)
        if settings is None or not settings.roots:
            raise StoreCorruptError(
                f"The catalogue of the store at {path} cannot be mended, and nothing says which "
                "photos it was made of. Make it again with: cbir index PHOTOS --rebuild --store "
                f"{path}"
            )
        spec = FeatureSpec.from_json(settings.spec)
        roots = [(resolve_root(path, root), options) for root, options in settings.roots]
        if not (settings.is_sealed or trusts_all()):
            require_inside(path, [root for root, _ in roots])
        set_catalog_aside(path)
        store = Store.create(path, dataclasses.replace(spec, adaptation=""))
        try:
            store.index_type = settings.index_type
            store.keep_keypoints(settings.keeps_keypoints)
            for root, options in roots:
                store.add_root(root, ReadingOptions.from_json(options))
            done = ["The catalogue cannot be read: the store was made again from its photos."]
            done += self._describe(store, [])
            if spec.adaptation:
                adapt_store(store, self.progress)
            done.append(
                "Fields, concepts and decisions about duplicates, if there were any, are lost: "
                "take them over from an export with cbir merge, or make them again."
            )
            return done
        finally:
            store.close()


def _require_photos(store: Store, diagnosis: Diagnosis) -> None:
    """Raise `StoreCorruptError` where photos are missing that all have to be described again."""
    missing = [finding.what for finding in diagnosis.findings if finding.gravity == "note"]
    if missing:
        raise StoreCorruptError(
            f"The whitening of the store at {store.path} is lost, so all photos have to be "
            f"described again, and some are not there: {missing[0]} Bring them back first, or "
            "start again with cbir index --rebuild."
        )


def _delete_strays(store: Store) -> None:
    ids = {row.id for row in store.known_files().values()}
    owners = {i for _, _, i in store.derived.owned() if i is not None}
    store.derived.delete(sorted(owners - ids))
