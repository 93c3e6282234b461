"""Concept maps, and concepts held against true boxes and masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.errors import ImageError, InvalidLabelsError
from indexer.features.regions import Region
from indexer.features.registry import get_backbone
from retrieval.concept_maps import box_of_heat, concept_heat
from retrieval.evaluation.boxed import MaskFile, read_boxed
from retrieval.evaluation.localization import What, evaluate_localization, mask_iou
from tests.retrieval.test_evaluation import voc

SIDE = 96
DISC = 40  # pixels across


# --- maps ------------------------------------------------------------------------------------


def test_the_heat_is_where_the_weighted_channels_are() -> None:
    maps = np.zeros((2, 8, 8), np.float32)
    maps[0, 2:4, 5:7] = 1
    maps[1, 6:8, 0:2] = 1
    heat = concept_heat(maps, np.array([1, -1], np.float32), (160, 80))
    assert heat.shape == (80, 160)
    assert heat.max() == 1
    assert heat.min() == 0
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    assert 20 <= y < 40
    assert 100 <= x < 140
    assert heat[60:, :40].max() == 0
    box = box_of_heat(heat, 0.5)
    assert box.iou(Region(100, 20, 140, 40)) > 0.6


def test_the_largest_part_is_taken() -> None:
    heat = np.zeros((50, 60), np.float32)
    heat[5:10, 5:10] = 1
    heat[20:40, 20:50] = 0.6
    assert box_of_heat(heat) == Region(20, 20, 50, 40)
    assert box_of_heat(heat, 0.7) == Region(5, 5, 10, 10)


def test_a_flat_map_says_nothing() -> None:
    heat = concept_heat(np.ones((3, 4, 4), np.float32), np.ones(3, np.float32), (30, 20))
    assert not heat.any()
    assert box_of_heat(heat) == Region(0, 0, 30, 20)


# --- readers ---------------------------------------------------------------------------------

ANNOTATION = """<annotation><object><name>dog</name><difficult>{}</difficult><bndbox>
<xmin>11</xmin><ymin>21</ymin><xmax>50</xmax><ymax>60</ymax></bndbox></object></annotation>"""


def test_the_boxes_and_masks_of_voc(tmp_path: Path) -> None:
    home = voc(tmp_path) / "VOCdevkit" / "VOC2007"
    (home / "Annotations").mkdir()
    (home / "Annotations" / "000001.xml").write_text(ANNOTATION.format(0), "utf-8")
    (home / "Annotations" / "000004.xml").write_text(ANNOTATION.format(1), "utf-8")
    (home / "SegmentationClass").mkdir()
    mask = Image.new("P", (4, 2))
    mask.putpalette(list(range(256)) * 3)
    mask.putdata([0, 2, 2, 255, 1, 1, 0, 0])
    mask.save(home / "SegmentationClass" / "000004.png")
    boxed = read_boxed(tmp_path)
    # Corners are counted from 1, and belong to the box; what is difficult does not count.
    assert boxed.boxes == {(0, 1): [Region(10, 20, 50, 60)]}
    assert set(boxed.masks) == {(3, 0), (3, 1)}
    assert boxed.masks[3, 1].read().tolist() == [[False, True, True, False], [False] * 4]
    (home / "Annotations" / "000001.xml").write_text("<annotation>", "utf-8")
    with pytest.raises(InvalidLabelsError, match=r"000001\.xml"):
        read_boxed(tmp_path)


def test_boxes_in_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    head = "path,label,split,x0,y0,x1,y1,mask\n"
    lines = ["1.png,a,train,1,2,3,4,", "1.png,a,train,5,5,9,9,", "2.png,a,test,,,,,m.png"]
    others = ["3.png,b,train,,,,,", "4.png,b,test,0.4,0,7.6,8,"]
    file.write_text(head + "\n".join(lines + others), "utf-8")
    boxed = read_boxed(file)
    assert boxed.boxes == {
        (0, 0): [Region(1, 2, 3, 4), Region(5, 5, 9, 9)],
        (3, 1): [Region(0, 0, 8, 8)],
    }
    assert boxed.masks == {(1, 0): MaskFile(tmp_path / "m.png")}
    for wrong in ("1.png,a,train,1,2,3,x,", "1.png,a,train,5,2,3,4,", "1.png,a,train,1,,,,"):
        file.write_text(head + "\n".join([wrong, *lines[1:], *others]), "utf-8")
        with pytest.raises(InvalidLabelsError, match="not valid"):
            read_boxed(file)


def test_boxes_in_a_manifest(tmp_path: Path) -> None:
    labels = {f"{i}.png": "ab"[i % 2] for i in range(4)}
    file = tmp_path / "m.json"
    file.write_text(
        json.dumps({"images": ".", "labels": labels, "boxes": {"1.png": [[0, 0, 4, 5]]}}), "utf-8"
    )
    assert read_boxed(file).boxes == {(1, 1): [Region(0, 0, 4, 5)]}
    file.write_text(json.dumps({"images": ".", "labels": labels}), "utf-8")
    with pytest.raises(InvalidLabelsError, match="boxes"):
        read_boxed(file)


def test_a_mask_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"nonsense")
    with pytest.raises(ImageError, match="mask"):
        MaskFile(tmp_path / "m.png").read()


def test_masks_by_hand() -> None:
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    first[:2], second[1:3] = True, True
    assert mask_iou(first, second) == pytest.approx(4 / 12)
    assert mask_iou(first & False, second & False) == 0
    with pytest.raises(InvalidLabelsError, match="4 × 4"):
        mask_iou(first, np.zeros((4, 5), bool))


# --- concepts --------------------------------------------------------------------------------


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """Noise with a red or a blue disc somewhere off the centre, with boxes and masks."""
    random = np.random.default_rng(0)
    lines = ["path,label,split,x0,y0,x1,y1,mask"]
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(24):
        pixels = random.integers(90, 160, (SIDE, SIDE, 3), np.uint8)
        x0, y0 = random.integers(0, 2, 2) * (SIDE - DISC)
        disc = (x - x0 - DISC / 2) ** 2 + (y - y0 - DISC / 2) ** 2 < (DISC / 2) ** 2
        pixels[disc] = [(230, 20, 20), (20, 20, 230)][number % 2]
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        Image.fromarray(disc).save(tmp_path / f"mask-{number}.png")
        part = "train" if number < 12 else "test"
        corners = f"{x0},{y0},{x0 + DISC},{y0 + DISC}"
        label = ["red", "blue"][number % 2]
        lines.append(f"{number}.png,{label},{part},{corners},mask-{number}.png")
    (tmp_path / "list.csv").write_text("\n".join(lines), "utf-8")
    return tmp_path / "list.csv"


@pytest.mark.parametrize("what", ["boxes", "masks"])
def test_concepts_find_what_they_were_taught(discs: Path, what: What) -> None:
    backbone = get_backbone("efficientnet_lite0")
    rows = evaluate_localization(read_boxed(discs), backbone, "stage4", what=what, size_px=192)
    found = {row.way: row for row in rows}
    assert set(found) == {"concept", "centred box", "whole image", "random box"}
    assert all(row.objects == 12 for row in rows)
    for row in rows:
        assert row.iou_interval[0] <= row.iou <= row.iou_interval[1]
    whole = 100 * (DISC / SIDE) ** 2
    assert found["whole image"].iou == pytest.approx(
        whole if what == "boxes" else whole * np.pi / 4, rel=0.05
    )
    for other in ("centred box", "whole image", "random box"):
        assert found["concept"].iou > found[other].iou + 5


def test_without_true_boxes_there_is_nothing_to_ask(discs: Path) -> None:
    lines = discs.read_text("utf-8").splitlines()
    text = "\n".join(["path,label,split", *(line.rsplit(",", 5)[0] for line in lines[1:])])
    discs.write_text(text, "utf-8")
    with pytest.raises(InvalidLabelsError, match="has boxes"):
        evaluate_localization(
            read_boxed(discs), get_backbone("efficientnet_lite0"), "stage4", size_px=96
        )
