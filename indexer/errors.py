"""Everything that can go wrong for a user of cbir.

    CbirError
    ├── ImageError                  one image cannot be used: path, reason
    │   ├── UnreadableImageError    empty, truncated, corrupt or not an image
    │   │   ├── DamagedImageError       its own checksums or its decoder say so
    │   │   └── InaccessibleImageError  no permission, a fault of the disk
    │   └── ImageTooLargeError      over the pixel limit
    ├── NoImagesError               a place to index holds nothing to index
    │   └── UnreachableError        a place elsewhere cannot be read now, or never
    ├── InvalidRegionError          a box that does not lie inside its image
    ├── InvalidQueryError           a query that cannot be answered
    │   └── BlankQueryError         it shows nothing but one even colour
    ├── InvalidFilterError          a filter that cannot be read, or names what is not there
    ├── FetchError                  a URL that cannot be fetched: URL, reason
    ├── InvalidLabelsError          a labels file that is not valid
    ├── ConceptError                a concept cannot be taught
    │   ├── UnknownConceptError     no concept, and so no tag, of that name
    │   └── InvalidConceptError     a concept file that is not valid
    ├── AnnotationError             a table of annotations, or a field, that cannot be used
    ├── MoveError                   photos cannot be moved there, or back
    ├── ExportError                 a folder that cannot be exported to, or is no whole export
    ├── OutsideRootsError           an image outside the folders of photos
    ├── ClusterError                Ray, or a cluster of it, that cannot be used
    ├── SettingError                an environment variable with a useless value
    ├── FeatureError
    │   ├── UnknownBackboneError    no backbone or tap of that name
    │   ├── WeightsMissingError     the weights are missing and cannot be downloaded
    │   ├── EngineError             an inference engine that this machine cannot run
    │   └── DegenerateFeatureError  a vector that is zero or not finite
    ├── SpecMismatchError           vectors of two specs would be compared
    └── StoreError
        ├── StoreNotFoundError      no store at that place
        ├── StoreLockedError        another process is writing to it
        ├── StoreChangedError       it changed while it was searched
        ├── StoreVersionError       written by a newer cbir
        ├── StoreCorruptError       a file of the store is missing or damaged
        └── UntrustedStoreError     somebody else's store, which names photos outside its folder

A fault of the user, the disk or the data is a `CbirError`; a bug of the calling code stays a
`ValueError` or `TypeError`.
"""

from __future__ import annotations


class CbirError(Exception):
    """Base of every error whose message is meant for the user."""


class ImageError(CbirError):
    """One image cannot be used.

    It `is_lasting` where the file's own bytes are the cause: as long as they stay, so does it.
    """

    is_lasting = True

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class UnreadableImageError(ImageError):
    """The file is empty, truncated, corrupt or not an image."""


class DamagedImageError(UnreadableImageError):
    """The file itself says that its pixels are damaged: a checksum, or the decoder's warnings."""


class InaccessibleImageError(UnreadableImageError):
    """The file cannot be read now: no permission, a fault of the disk, too little memory."""

    is_lasting = False


class ImageTooLargeError(ImageError):
    """The image has more pixels than the limit allows."""

    is_lasting = False


class NoImagesError(CbirError):
    """A place to index holds nothing to index."""


class UnreachableError(NoImagesError):
    """A place elsewhere, at a URL or in an archive, cannot be read: what is there is unknown."""


class InvalidRegionError(CbirError):
    """A box does not lie inside its image."""


class InvalidQueryError(CbirError):
    """A query cannot be answered as asked."""


class BlankQueryError(InvalidQueryError):
    """A query shows nothing but one even colour, so there is nothing to compare."""


class InvalidFilterError(CbirError):
    """A filter of images that cannot be read, or that names what the store does not have."""


class FetchError(CbirError):
    """A URL cannot be fetched; `url` is without user and password."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class InvalidLabelsError(CbirError):
    """The labels file is not valid."""


class ConceptError(CbirError):
    """A concept cannot be taught from these examples."""


class UnknownConceptError(ConceptError):
    """No concept, and so no tag, of that name is in the store."""


class InvalidConceptError(ConceptError):
    """The concept file is not valid."""


class AnnotationError(CbirError):
    """A table of annotations that is not valid, or a field that a store cannot have."""


class MoveError(CbirError):
    """Photos cannot be moved into a folder, or back."""


class ExportError(CbirError):
    """A folder that a store cannot be exported to, or an exported one that is not whole."""


class OutsideRootsError(CbirError):
    """An image lies outside the folders of photos, for example through a link; it is not shown."""


class FeatureError(CbirError):
    """Features cannot be extracted."""


class UnknownBackboneError(FeatureError):
    """No backbone or tap of that name."""


class WeightsMissingError(FeatureError):
    """The weights of a backbone are neither on this machine nor to be downloaded."""


class EngineError(FeatureError):
    """An inference engine that this machine cannot run."""


class DegenerateFeatureError(FeatureError):
    """A vector is zero or not finite, so it has no direction to compare."""


class ClusterError(CbirError):
    """Ray is not installed, its cluster cannot be used, or its workers keep failing."""


class SettingError(CbirError):
    """An environment variable has a value that means nothing."""


class SpecMismatchError(CbirError):
    """Vectors of two feature specs would be compared."""


class StoreError(CbirError):
    """The store cannot be used as asked."""


class StoreNotFoundError(StoreError):
    """There is no store at that place."""


class StoreLockedError(StoreError):
    """Another process is writing to the store."""


class StoreChangedError(StoreError):
    """The files of a commit were replaced before they were opened."""


class StoreVersionError(StoreError):
    """The store was written by a newer version of cbir."""


class StoreCorruptError(StoreError):
    """A file of the store is missing or damaged."""


class UntrustedStoreError(StoreError):
    """A store that this account did not make names photos outside its own folder."""
