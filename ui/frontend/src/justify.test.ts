import assert from "node:assert/strict";
import { test } from "node:test";
import { heightOf, justify, shape } from "./justify.ts";

const SHAPES = [1.5, 0.75, 1, 1.33, 2.6, 0.5, 1.5, 1.5, 1];

test("all rows but the last fill the width, and all pictures of a row have its height", () => {
  const lines = justify(SHAPES, 900, 180, 8);
  for (const line of lines.slice(0, -1)) {
    const last = line.tiles[line.tiles.length - 1]!;
    assert.ok(Math.abs(last.left + last.width - 900) < 1e-6);
    for (const { index, width } of line.tiles) {
      assert.ok(Math.abs(width / line.height - SHAPES[index]!) < 1e-9);
    }
  }
});

test("each picture has one place, in order", () => {
  const places = justify(SHAPES, 500, 150, 4).flatMap((line) => line.tiles.map((t) => t.index));
  assert.deepEqual(places, [...SHAPES.keys()]);
});

test("rows lie below each other, a gap apart", () => {
  const lines = justify(SHAPES, 500, 150, 4, 30);
  assert.equal(lines[0]!.top, 30);
  lines.slice(1).forEach((line, place) => {
    const before = lines[place]!;
    assert.ok(Math.abs(line.top - before.top - before.height - 4) < 1e-9);
  });
  const last = lines[lines.length - 1]!;
  assert.equal(heightOf(lines), last.top + last.height);
});

test("a single picture is no higher than asked, and no wider than the page", () => {
  const [alone] = justify([1.5], 900, 180, 8);
  assert.equal(alone!.height, 180);
  const [wide] = justify([2.6], 300, 180, 8);
  assert.ok(wide!.tiles[0]!.width <= 300);
});

test("extreme pictures get a place that can be seen", () => {
  assert.equal(shape(20_000, 1), 2.6);
  assert.equal(shape(1, 20_000), 0.5);
  assert.equal(shape(300, 200), 1.5);
});

test("nothing has no height", () => {
  assert.deepEqual(justify([], 500, 150, 4), []);
  assert.equal(heightOf([]), 0);
});
