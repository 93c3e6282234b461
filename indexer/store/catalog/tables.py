"""The tables of the catalogue.

`checksum` is that of the row, see `row_checksums`, or that of the files which the row names.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from indexer.store.catalog.column_types import INT64, TEXT, MessageText, PathText


class Base(DeclarativeBase):
    """Base of the tables."""


class RootRow(Base):
    """A folder of photos; paths of images are relative to it.

    `path` is relative to the folder that holds the store where the photos lie below that folder,
    so that both can move together, and absolute elsewhere. `options` are its `ReadingOptions`, and
    `skipped` the number of other files by suffix, both as JSON.
    """

    __tablename__ = "roots"
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(PathText, unique=True)
    options: Mapped[str] = mapped_column(default="{}")
    skipped: Mapped[str] = mapped_column(default="{}")


class ImageRow(Base):
    """An image. `state` is `ok`, `blank` where it shows nothing, or `failed` with a `reason`.

    Its id is never used again. `width` and `height` are pixels of the upright original, and `pages`
    is how many pictures its file holds. `ctime_ns` and `inode` tell of changes that dates hide.
    """

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("root_id", "path"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(INT64, primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("roots.id"))
    path: Mapped[str] = mapped_column(PathText)
    size_bytes: Mapped[int] = mapped_column(INT64)
    mtime_ns: Mapped[int] = mapped_column(INT64)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    state: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str | None] = mapped_column(MessageText)
    width: Mapped[int | None]
    height: Mapped[int | None]
    format: Mapped[str | None] = mapped_column(MessageText)
    taken_at: Mapped[dt.datetime | None]
    camera: Mapped[str | None] = mapped_column(MessageText)
    ctime_ns: Mapped[int | None] = mapped_column(BigInteger)
    inode: Mapped[int | None] = mapped_column(BigInteger)
    pages: Mapped[int | None]
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class RegionRow(Base):
    """A described window of an image: a half-open box in pixels of the upright original."""

    __tablename__ = "regions"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(INT64, primary_key=True)
    image_id: Mapped[int] = mapped_column(INT64, index=True)
    x0: Mapped[int]
    y0: Mapped[int]
    x1: Mapped[int]
    y1: Mapped[int]
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class SegmentRow(Base):
    """A live file of vectors of one kind: `conv`, `fc`, `region` or `region_fc`."""

    __tablename__ = "segments"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int] = mapped_column(INT64)
    dimension: Mapped[int]
    checksum: Mapped[str | None] = mapped_column(String(64))


class IvfRow(Base):
    """The live IVF index of one kind, see `IvfIndex`.

    It holds the first `rows` rows of the segments and was trained on `trained_rows` of them;
    `nprobe` cells a query gave `recall`.
    """

    __tablename__ = "lists"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), unique=True)
    index_type: Mapped[str] = mapped_column("form", String(16))
    rows: Mapped[int] = mapped_column(INT64)
    trained_rows: Mapped[int] = mapped_column(INT64)
    nprobe: Mapped[int]
    recall: Mapped[float]
    checksum: Mapped[str | None] = mapped_column(String(64))


class ConceptRow(Base):
    """A concept that the store was taught, as JSON; see `retrieval.concept_files`."""

    __tablename__ = "concepts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(TEXT, unique=True)
    json: Mapped[str]
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class TagRow(Base):
    """An image that probably shows a concept; it goes with the image, and with the concept."""

    __tablename__ = "tags"
    image_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False)
    concept_id: Mapped[int] = mapped_column(
        ForeignKey("concepts.id"), primary_key=True, autoincrement=False, index=True
    )
    probability: Mapped[float]
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class FieldRow(Base):
    """A field of the user's own, such as a title or an inventory number."""

    __tablename__ = "fields"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(TEXT, unique=True)
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class AnnotationRow(Base):
    """What a field says of an image: a text, and the number that it is, if any."""

    __tablename__ = "annotations"
    image_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False)
    field_id: Mapped[int] = mapped_column(
        ForeignKey("fields.id"), primary_key=True, autoincrement=False, index=True
    )
    text: Mapped[str] = mapped_column(MessageText)
    number: Mapped[float | None]
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class DecisionRow(Base):
    """What was decided about two duplicates; it goes with either image.

    The `verdict` is `keep` where both are to stay, the smaller id first, and `copy` where the
    second is a copy of the first.
    """

    __tablename__ = "decisions"
    first_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False)
    second_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False, index=True)
    verdict: Mapped[str] = mapped_column(String(8))
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class WarningRow(Base):
    """What was odd about an image when it was read, a line each."""

    __tablename__ = "warnings"
    image_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(TEXT)
    checksum: Mapped[int | None] = mapped_column(BigInteger)


class RemovedRow(Base):
    """The id of a removed image whose vectors are still in a segment."""

    __tablename__ = "removed"
    image_id: Mapped[int] = mapped_column(INT64, primary_key=True, autoincrement=False)


class SpecRow(Base):
    """The one feature spec of the store, as canonical JSON, and its fingerprint.

    `index_type` is how its vectors are searched: a type, or `auto`, by their number; `keypoints`
    says whether an index run finds the keypoints of every image.
    """

    __tablename__ = "spec"
    id: Mapped[int] = mapped_column(primary_key=True)
    json: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(64))
    index_type: Mapped[str] = mapped_column("index_form", String(16), default="auto")
    keypoints: Mapped[bool] = mapped_column(default=False)


class StateRow(Base):
    """The last commit: its number, the checksum of the small tables, and this account's seal."""

    __tablename__ = "state"
    id: Mapped[int] = mapped_column(primary_key=True)
    commits: Mapped[int] = mapped_column(BigInteger)
    checksum: Mapped[str] = mapped_column(String(64))
    seal: Mapped[str] = mapped_column(String(64))
