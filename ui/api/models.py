"""What the API takes and answers, as JSON, but for searches."""

from __future__ import annotations

import datetime as dt
import os
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from indexer.choices import Verdict
from indexer.store.records import ImageInfo
from retrieval.query import Hit
from ui.gallery import version_of

IMAGE_ID = Annotated[int, Field(ge=1, lt=2**63, examples=[7])]


def legible(value: Any) -> Any:
    r"""Return text, or what holds some, as UTF-8 can have it: bytes that it cannot as \xNN."""
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [legible(item) for item in value]
    if isinstance(value, dict):
        return {legible(name): legible(item) for name, item in value.items()}
    return value


PATH = Annotated[str, BeforeValidator(legible)]
BOX = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=4, max_length=4)]
BOX_TEXT = "left, upper, right and lower edge in pixels of the upright original, half-open"


ANNOTATIONS = Annotated[
    dict[str, str],
    Field(description="what fields of your own say of it", examples=[{"sku": "A-1042"}]),
]


class ImageChoice(BaseModel):
    """Which images may be hits; what is left out does not restrict."""

    model_config = ConfigDict(extra="forbid")

    folder: str | None = Field(None, description="an absolute path; what lies below it counts")
    name: str = Field("", description="a part of the file name, or a pattern with * and ?")
    since: dt.date | None = Field(None, description="taken on this day or later")
    until: dt.date | None = Field(None, description="taken on this day or earlier")
    tags: Annotated[list[str], Field(fail_fast=True)] = Field(
        [], description="names of tags that an image must all have"
    )
    where: str = Field(
        "",
        description="a filter in the language of docs/filters.md",
        examples=["folder:2019/* and width>2000"],
    )


class HitModel(BaseModel):
    """A found image; `score` is a cosine, `quad` the proved outline of the query in the image."""

    rank: int = Field(examples=[1])
    image_id: int = Field(examples=[7])
    path: PATH = Field(examples=["/photos/2019/cat.jpg"])
    key: str | None = Field(description="the key it was put by", examples=["SKU-1042"])
    score: float = Field(examples=[0.9312])
    confidence: float | None = Field(examples=[0.998])
    verdict: Verdict | None
    box: list[int] | None = Field(description=BOX_TEXT, examples=[[40, 12, 260, 240]])
    quad: list[list[float]] | None
    inliers: int | None
    mirrored: bool
    inverted: bool
    annotations: ANNOTATIONS

    @classmethod
    def of(cls, hit: Hit, key: str | None) -> HitModel:
        """Return a hit as JSON has it, at full precision."""
        return cls(
            rank=hit.rank,
            image_id=hit.image_id,
            path=str(hit.path),
            key=key,
            score=hit.score,
            confidence=hit.confidence,
            verdict=hit.verdict,
            box=list(hit.region.as_tuple()) if hit.region else None,
            quad=None if hit.quad is None else [list(corner) for corner in hit.quad],
            inliers=hit.inliers,
            mirrored=hit.mirrored,
            inverted=hit.inverted,
            annotations=dict(hit.annotations),
        )


Picture = Literal["box", "heat", "mask", "overlay", "matches"]


class LocalizeRequest(BaseModel):
    """Where to look for what: a query image of the store or an upload, in another image."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"image_id": 7, "target_id": 9, "pictures": ["heat"]}]},
    )

    image_id: IMAGE_ID | None = None
    target_id: IMAGE_ID | None = None
    box: BOX | None = Field(None, description=f"look for this part of the query: {BOX_TEXT}")
    context: float = Field(0.0, ge=0, le=10)
    verify: bool = True
    pictures: Annotated[list[Picture], Field(fail_fast=True)] = Field(
        [], description="pictures to send back"
    )


class Located(BaseModel):
    """Where the query is: the box, and the outline where geometry proves it.

    `pictures` are PNG files in base64.
    """

    box: list[int] = Field(description=BOX_TEXT)
    score: float
    quad: list[list[float]] | None
    inliers: int | None
    mirrored: bool
    inverted: bool
    pictures: dict[Picture, str]


class ImageModel(BaseModel):
    """What is known of an image; `key` is the one that it was put by.

    `version` changes with its picture: a picture that is asked for with `v` can be kept for good.
    """

    image_id: int = Field(examples=[7])
    path: PATH = Field(examples=["/photos/2019/cat.jpg"])
    key: str | None = Field(examples=["SKU-1042"])
    version: str = Field(examples=["9f86d081884c7d65"])
    width: int = Field(examples=[4000])
    height: int = Field(examples=[3000])
    taken_at: dt.datetime | None
    camera: str | None
    tags: dict[str, float]
    annotations: ANNOTATIONS

    @classmethod
    def of(cls, info: ImageInfo, key: str | None, **said: dict[str, Any]) -> ImageModel:
        """Return an image as JSON has it, with what `tags` and `annotations` say of it."""
        return cls(
            image_id=info.id,
            path=str(info.path),
            key=key,
            version=version_of(info),
            width=info.width,
            height=info.height,
            taken_at=info.taken_at,
            camera=info.camera,
            **said,
        )


class ImagePage(BaseModel):
    """Images by ascending id; `after` asks for the next ones, None after the last."""

    images: list[ImageModel]
    after: int | None


class Put(BaseModel):
    """What became of an image that was put.

    It is `searchable` at once, or with the next commit, once other writing has ended.
    """

    key: str = Field(examples=["SKU-1042"])
    image_id: int | None = Field(examples=[7])
    searchable: bool


class Removed(BaseModel):
    """How many images were removed."""

    removed: int = Field(examples=[1])


class JobRequest(BaseModel):
    """What to index: folders that the store knows, or places in them; all of them by default."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    places: Annotated[list[str], Field(fail_fast=True)] = []


class JobModel(BaseModel):
    """A job: the step that it is at, and once it has ended its report, or error."""

    id: int
    kind: Literal["index", "duplicates"]
    state: Literal["running", "done", "stopped", "failed"]
    step: str
    done: int
    total: int
    failed: int
    left_s: float | None
    report: Annotated[dict[str, Any], BeforeValidator(legible)] | None
    error: str | None


class JobList(BaseModel):
    """The jobs since the server started, the last first."""

    jobs: list[JobModel]


class StoreFacts(BaseModel):
    """What the store holds."""

    images: int
    failed: int
    vectors: dict[str, int] = Field(examples=[{"conv": 796, "conv.regions": 17000}])
    dimensions: dict[str, int]
    index_type: str
    fingerprint: str
    spec: dict[str, Any]
    roots: list[PATH]
    commits: int
    takes_images: bool = Field(description="whether images can be put, see --uploads")
