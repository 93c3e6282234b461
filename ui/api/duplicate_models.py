"""What the routes for duplicates take and answer, as JSON."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from retrieval.duplicates.groups import GroupKind
from ui.api.models import ANNOTATIONS, IMAGE_ID, PATH

MAX_IMAGES = 500  # of one decision: about each two of them something is kept
Verdict = Literal["keep", "original", "forget"]
Role = Literal["first", "copy", "whole", "part"]
WHERE = "only images that pass this filter, in the language of docs/filters.md"


class DuplicateModel(BaseModel):
    """An image of a group; how it lies, and where, is told in relation to the first one.

    `turned` is by how many degrees it must be turned clockwise, after it was `mirrored`; `quad` is
    the outline of a part, four corners in pixels of the first image.
    """

    role: Role
    image_id: int = Field(examples=[7])
    path: PATH = Field(examples=["/photos/2019/cat.jpg"])
    key: str | None = Field(description="the key it was put by", examples=["SKU-1042"])
    width: int = Field(examples=[4000])
    height: int = Field(examples=[3000])
    size_bytes: int | None = Field(examples=[2_345_678])
    taken_at: dt.datetime | None
    mirrored: bool
    turned: int = Field(examples=[0])
    agreement: float | None = Field(
        description="the share of it that is the same in the other", examples=[0.9971]
    )
    quad: list[list[float]] | None
    annotations: ANNOTATIONS = {}


class DuplicateGroup(BaseModel):
    """Images that belong together, the one to keep first; `group` is its number, from 1.

    Of kind `bytes`, all files have the same bytes; of `picture`, all show the same picture; of
    `part`, all others show a part of the first.
    """

    group: int = Field(examples=[1])
    kind: GroupKind
    decided: bool
    images: list[DuplicateModel]


class DuplicatePage(BaseModel):
    """Groups that earlier searches found, those to decide about first.

    `total` is how many groups there are on all pages, `compared` how many images were looked
    at, and `unread` how many of these were compared by their bytes alone.
    """

    groups: list[DuplicateGroup]
    total: int = Field(examples=[41])
    offset: int = Field(examples=[0])
    compared: int = Field(examples=[796])
    unread: int = Field(examples=[0])


class DuplicateSearch(BaseModel):
    """Which images to compare; all of them by default."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"where": "folder:2019/*"}]}
    )

    where: str = Field("", description=WHERE)


class Decision(BaseModel):
    """What is decided about images of a group.

    `keep`: all of them stay; `original`: the first is the original, and the others are copies of
    it; `forget`: nothing is decided about them any longer.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"images": [7, 12], "verdict": "original"},
                {"images": [7, 12, 31], "verdict": "keep"},
                {"images": [7], "verdict": "forget"},
            ]
        },
    )

    images: Annotated[list[IMAGE_ID], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)]
    verdict: Verdict


class Decided(BaseModel):
    """A decision that is kept."""

    images: list[int] = Field(examples=[[7, 12]])
    verdict: Verdict
