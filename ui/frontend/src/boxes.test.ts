import assert from "node:assert/strict";
import { test } from "node:test";
import { between, isTiny, moved, parse, toBox, toShare } from "./boxes.ts";
import type { Box } from "./types.ts";

const SIZE = { w: 481, h: 363 };

test("a box in pixels is the same after it was drawn", () => {
  for (const box of [[0, 0, 1, 1], [10, 20, 200, 301], [480, 362, 481, 363]] as Box[]) {
    assert.deepEqual(toBox(toShare(box, SIZE), SIZE), box);
  }
});

test("the smallest box has a pixel inside the picture", () => {
  assert.deepEqual(toBox([1, 1, 1, 1], SIZE), [480, 362, 481, 363]);
  assert.deepEqual(toBox([0, 0, 0, 0], SIZE), [0, 0, 1, 1]);
});

test("a box is drawn from any corner", () => {
  assert.deepEqual(between([0.7, 0.2], [0.1, 0.9]), [0.1, 0.2, 0.7, 0.9]);
  assert.ok(isTiny(between([0.5, 0.1], [0.5, 0.9])));
  assert.ok(!isTiny([0, 0, 0.5, 0.5]));
});

test("a moved box keeps its size and stays inside", () => {
  const [x0, y0, x1, y1] = moved([0.99 - 0.5, 0, 0.99, 0.5], [0.02, -0.02], false);
  assert.ok(Math.abs(x1 - x0 - 0.5) < 1e-9 && Math.abs(y1 - y0 - 0.5) < 1e-9);
  assert.ok(x1 <= 1 && y0 >= 0);
});

test("typed boxes are read, and nonsense is not", () => {
  assert.deepEqual(parse("0,0,481,363", SIZE), [[0, 0, 1, 1]]);
  assert.equal(parse("1,2,3,4; 5,6,70,80", SIZE)?.length, 2);
  assert.deepEqual(parse(" ", SIZE), []);
  for (const text of ["1,2,3", "a,b,c,d", "5,5,5,9", "0,0,482,363", "-1,0,4,4", "1,2,3,4,5"]) {
    assert.equal(parse(text, SIZE), null, text);
  }
});
