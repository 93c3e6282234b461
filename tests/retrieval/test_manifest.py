"""Manifests are read, or refused with the path of the field that is wrong."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import tests
from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from retrieval.evaluation.manifest import SCHEMA, Manifest

PAGE = Path(tests.__file__).parent.parent / "docs" / "manifests.md"
GOOD: dict[str, Any] = {
    "name": "mugs",
    "images": "images",
    "database": ["a.jpg", "sub/b.jpg"],
    "boxes": {"a.jpg": [[0, 0, 5, 5]]},
    "labels": {"a.jpg": "mug"},
    "queries": [
        {"id": "1", "image": "q.jpg", "box": [1, 2, 3, 4], "positives": ["a.jpg"], "junk": []},
        {
            "id": 2,
            "image": "q.jpg",
            "positives": ["sub/b.jpg"],
            "junk": ["a.jpg"],
            "boxes": {"sub/b.jpg": [[1, 1, 2, 2], [3, 3, 4, 4]]},
        },
        {"id": "3", "image": "/abs/q.jpg", "box": None, "positives": []},
    ],
}


def read(folder: Path, data: Any) -> Manifest:
    path = folder / "manifest.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return Manifest.read(path)


def test_every_field(tmp_path: Path) -> None:
    manifest = read(tmp_path, GOOD)
    assert (manifest.name, manifest.folder) == ("mugs", tmp_path / "images")
    assert manifest.database == ["a.jpg", "sub/b.jpg"]
    assert manifest.boxes == {"a.jpg": [Region(0, 0, 5, 5)]}
    first, second, third = manifest.queries
    assert (first.id, first.image, first.box) == (
        "1",
        tmp_path / "images" / "q.jpg",
        Region(1, 2, 3, 4),
    )
    assert (second.id, second.box, second.junk) == ("2", None, frozenset(["a.jpg"]))
    assert second.boxes == {"sub/b.jpg": [Region(1, 1, 2, 2), Region(3, 3, 4, 4)]}
    assert (third.image, third.boxes, third.junk) == (Path("/abs/q.jpg"), None, frozenset())
    assert [query.id for query in manifest.every(2).queries] == ["1", "3"]


def test_images_elsewhere(tmp_path: Path) -> None:
    read(tmp_path, GOOD)
    manifest = Manifest.read(tmp_path / "manifest.json", tmp_path / "other")
    assert manifest.queries[0].image == tmp_path / "other" / "q.jpg"


Change = Callable[[dict[str, Any]], object]
WRONG: list[tuple[Change, str]] = [
    (lambda d: d.pop("name"), r"\$: 'name' is a required property"),
    (lambda d: d.pop("images"), r"\$: 'images' is a required"),
    (lambda d: d.pop("database"), r"\$: 'database' is a required"),
    (lambda d: d.update(name=7), r"\$\.name: 7 is not of type 'string'"),
    (lambda d: d.update(images=None), r"\$\.images: None is not of type 'string'"),
    (lambda d: d.update(database="a.jpg"), r"\$\.database: 'a.jpg' is not of type 'array'"),
    (lambda d: d.update(database=[]), r"\$\.database: \[\] "),
    (lambda d: d["database"].append(3), r"\$\.database\[2\]: 3 is not of type 'string'"),
    (lambda d: d["database"].append("/a.jpg"), r"\$\.database\[2\]: '/a.jpg' is not a path below"),
    (lambda d: d["database"].append("x/../a.jpg"), r"\$\.database\[2\]: 'x/../a.jpg' is not"),
    (lambda d: d["queries"][0].update(image="a\0"), r"\$\.queries\[0\]\.image: .* is not a path"),
    (lambda d: d["queries"][0]["positives"].append(""), r"\$\.queries\[0\]\.positives\[1\]: ''"),
    (lambda d: d.update(queries={}), r"\$\.queries: \{\} is not of type 'array'"),
    (lambda d: d["queries"].append("q"), r"\$\.queries\[3\]: 'q' is not of type 'object'"),
    (lambda d: d["queries"][1].pop("id"), r"\$\.queries\[1\]: 'id' is a required"),
    (lambda d: d["queries"][1].update(id=None), r"\$\.queries\[1\]\.id: None is not of type"),
    (lambda d: d["queries"][0].update(box=[1, 2, 3]), r"\$\.queries\[0\]\.box: "),
    (lambda d: d["queries"][0].update(box=[1, 2, 3, "4"]), r"\$\.queries\[0\]\.box\[3\]: '4' is"),
    (lambda d: d["queries"][0].update(box=[1, 2, 3, 4.5]), r"\$\.queries\[0\]\.box\[3\]: 4.5 is"),
    (lambda d: d["queries"][0].update(box=[-1, 2, 3, 4]), r"\$\.queries\[0\]\.box\[0\]: -1 is"),
    (lambda d: d["queries"][0].update(box="1,2,3,4"), r"\$\.queries\[0\]\.box: '1,2,3,4' is"),
    (lambda d: d["queries"][0].update(box=[3, 2, 1, 4]), r"\$\.queries\[0\]\.box: .* X0 < X1"),
    (lambda d: d["queries"][0].pop("positives"), r"\$\.queries\[0\]: 'positives' is"),
    (lambda d: d["queries"][0].update(positives="a.jpg"), r"\$\.queries\[0\]\.positives: "),
    (lambda d: d["queries"][0].update(junk=[None]), r"\$\.queries\[0\]\.junk\[0\]: None is"),
    (lambda d: d["queries"][1].update(boxes=[]), r"\$\.queries\[1\]\.boxes: \[\] is not"),
    (lambda d: d["queries"][1]["boxes"].update(x=[]), r"\$\.queries\[1\]\.boxes\.x: \[\] "),
    (lambda d: d["queries"][1].update(id=1), r"\$\.queries\[1\]\.id: '1' occurs twice"),
    (lambda d: d["boxes"].update(b=[[0, 0, 5]]), r"\$\.boxes\.b\[0\]: "),
    (lambda d: d["boxes"].update(b=[[0, 5, 5, 5]]), r"\$\.boxes\['b'\]: the box 0,5,5,5 needs"),
]


@pytest.mark.parametrize(("change", "told"), WRONG)
def test_a_wrong_field_is_named(tmp_path: Path, change: Change, told: str) -> None:
    data = json.loads(json.dumps(GOOD))
    change(data)
    with pytest.raises(InvalidQueryError, match=rf"manifest\.json is not a manifest: {told}"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "7", "null", '"x"', "[" * 100_000, '{"name": "x"}']
)
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidQueryError, match="is not a manifest") as caught:
        read(tmp_path, text)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        read(tmp_path, GOOD | {"queries": {"x" * 5000: 1}})
    assert "is not of type 'array'" in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidQueryError, match="cannot be read"):
        Manifest.read(tmp_path / "none.json")


@pytest.mark.parametrize("entry", ["a", "a.jpg", "a/b", "..a", ".a", "a..", "a/.b/c d", "ü\n"])
def test_paths_below_the_folder(tmp_path: Path, entry: str) -> None:
    assert read(tmp_path, GOOD | {"database": [entry]}).database == [entry]


# --- the schema ------------------------------------------------------------------------------

VALUES = [
    None,
    True,
    "",
    "/x",
    "./x",
    "x/..",
    "x//y",
    "..x",
    "x\0",
    0,
    -1,
    2.5,
    "x",
    [],
    {},
    [1],
    ["x"],
    {"x": 1},
    [0, 0, 1, 1],
    [[0, 0, 1, 1]],
]


def replace_one(data: Any, chance: random.Random) -> Any:
    """Return the data with one value, somewhere, replaced or left out."""
    if not isinstance(data, (dict, list)) or not data or chance.random() < 0.15:
        return chance.choice(VALUES)
    key = chance.choice(list(data) if isinstance(data, dict) else range(len(data)))
    changed = data.copy()
    if chance.random() < 0.15:
        del changed[key]
    else:
        changed[key] = replace_one(data[key], chance)
    return changed


def find_problem(folder: Path, data: Any) -> str:
    try:
        read(folder, data)
    except InvalidQueryError as error:
        return str(error)
    return ""


def test_what_is_read_is_what_the_schema_allows(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(GOOD)
    verdicts = set()
    for seed in range(600):
        data = replace_one(GOOD, random.Random(seed))
        valid = validator.is_valid(data)
        verdicts.add(valid)
        problem = find_problem(tmp_path, data)
        beyond = "needs X0 < X1" in problem or "occurs twice" in problem
        assert valid == (not problem or beyond), (data, problem)
    assert verdicts == {True, False}


def test_the_example_of_the_documentation_is_a_manifest(tmp_path: Path) -> None:
    [example] = re.findall(r"```json\n(\{\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert read(tmp_path, example).queries


def test_the_documentation_names_every_field() -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    page = PAGE.read_text("utf-8")
    for name in [*schema["properties"], *schema["$defs"]["query"]["properties"]]:
        assert f"| `{name}` |" in page, name
