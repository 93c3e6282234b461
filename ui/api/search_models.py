"""What the routes that search take and answer, as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from indexer.choices import Damaged, Oversize, Scope, TapKind
from retrieval.query import CANDIDATES
from ui.api.models import BOX, BOX_TEXT, IMAGE_ID, HitModel, ImageChoice
from ui.api.problems import Problem
from ui.further import UNLIKE

MAX_HITS = 1000
MAX_QUERIES = 100
MAX_DIMENSION = 100_000
MAX_FURTHER = 16  # of images, and of words
MAX_FEATURES = 4  # two features, each of whole images and of regions
MAX_WEIGHT = 1e6
URL = Annotated[str, Field(min_length=1, description="http or https, at a public address")]
VECTOR = Annotated[list[float], Field(min_length=1, max_length=MAX_DIMENSION, fail_fast=True)]


class FurtherImage(BaseModel):
    """A further image, or a box in it: exactly one of `image_id`, `url`, `vector` and `file`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"image_id": 8}, {"image_id": 8, "weight": 0.5}]},
    )

    image_id: IMAGE_ID | None = None
    url: URL | None = None
    vector: VECTOR | None = None
    file: int | None = Field(
        None, ge=0, lt=2 * MAX_FURTHER, description="which of the files sent as further, from 0"
    )
    box: BOX | None = Field(None, description=f"this part of it: {BOX_TEXT}")
    context: float = Field(0.0, ge=0, le=10, description="pad the box by this share of its sides")
    weight: float | None = Field(
        None,
        gt=0,
        le=MAX_WEIGHT,
        description=f"what it counts beside the query, which counts 1; by default 1, and {UNLIKE} "
        "where hits are to be unlike it",
    )


class FurtherWord(BaseModel):
    """A word that ranks by itself, beside an image, or is added to the word of the query."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "pillow", "weight": 0.5}]}
    )

    text: str = Field(description="a class that the network knows", examples=["pillow"])
    weight: float = Field(1.0, gt=0, le=MAX_WEIGHT)


class FeatureChoice(BaseModel):
    """A feature that ranks by itself, and what it compares with; by default as the query does."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"feature": "fc"}]})

    feature: TapKind
    search: Scope | None = None
    weight: float = Field(1.0, gt=0, le=MAX_WEIGHT)


class SearchOptions(BaseModel):
    """How to search; see `cbir query --help`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"k": 5},
                {"box": [40, 12, 260, 240], "k": 20},
                {"also": [{"image_id": 8}], "unlike": [{"image_id": 9}]},
            ]
        },
    )

    k: int = Field(10, ge=1, le=MAX_HITS, description="how many hits at most")
    box: BOX | None = Field(None, description=f"query with this part of the image: {BOX_TEXT}")
    context: float = Field(0.0, ge=0, le=10, description="pad the box by this share of its sides")
    feature: TapKind | None = Field(None, description="conv (appearance) or fc (kind of content)")
    search: Scope | None = Field(None, description="compare with whole images or their regions")
    turns: bool = Field(False, description="ask in four rotations, a quarter turn each")
    verify: bool | None = Field(
        None, description="prove hits by keypoints; by default where the store keeps them"
    )
    rerank: bool = Field(False, description="verify and re-rank the first images")
    candidates: int = Field(CANDIDATES, ge=1, le=MAX_HITS, description="how many are looked at")
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="leave out hits of less; at 1, only proved ones stay"
    )
    allowed: Annotated[list[IMAGE_ID], Field(fail_fast=True)] | None = Field(
        None, description="only these images may be hits"
    )
    filter: ImageChoice | None = Field(None, description="only images that pass may be hits")
    also: Annotated[list[FurtherImage], Field(max_length=MAX_FURTHER)] = Field(
        [], description="further images that hits are to be like"
    )
    unlike: Annotated[list[FurtherImage], Field(max_length=MAX_FURTHER)] = Field(
        [], description="images that hits are to be unlike, as --not of cbir query"
    )
    also_text: Annotated[list[FurtherWord], Field(max_length=MAX_FURTHER)] = Field(
        [], description="words that hits are to be like, too"
    )
    also_features: Annotated[list[FeatureChoice], Field(max_length=MAX_FEATURES)] = Field(
        [], description="features that rank by themselves, beside that of the query"
    )
    damaged: Damaged = Field("skip", description="refuse damaged query images, or take them")
    oversize: Oversize = Field("skip", description="refuse too large query images, or reduce them")


class SearchRequest(SearchOptions):
    """A query by exactly one of an image of the store, a URL, a text and a vector."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"image_id": 7, "k": 5},
                {"text": "espresso"},
                {"image_id": 7, "also": [{"image_id": 8, "weight": 0.5}]},
                {"image_id": 7, "also_text": [{"text": "pillow"}]},
                {"image_id": 7, "also_features": [{"feature": "fc"}]},
            ]
        },
    )

    image_id: IMAGE_ID | None = None
    url: URL | None = None
    text: str | None = Field(None, description="a class that the network knows, such as espresso")
    vector: VECTOR | None = Field(
        None, description="a vector of the kind that is searched; its length does not matter"
    )


class ManyRequest(BaseModel):
    """Several queries that are answered together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"queries": [{"image_id": 7}, {"image_id": 8}]}]},
    )

    queries: Annotated[list[SearchRequest], Field(min_length=1, max_length=MAX_QUERIES)]


class Answer(BaseModel):
    """The hits of a query, best first."""

    search: Scope
    feature: TapKind
    elapsed_s: float = Field(examples=[0.031])
    hits: list[HitModel]


class ManyAnswers(BaseModel):
    """For each query its answer, or the problem that it has."""

    answers: list[Answer | Problem]
