import assert from "node:assert/strict";
import { test } from "node:test";
import { fit, inPicture, onScreen } from "./fit.ts";
import { FITTING, viewAfter, zoomed } from "./panzoom.ts";

const PLACE = { width: 800, height: 600 };
const PICTURE = fit({ width: 3000, height: 2000 }, PLACE);

test("a picture is as large as its place allows", () => {
  assert.ok(Math.abs(PICTURE.width - 800) < 1e-9);
  assert.ok(Math.abs(PICTURE.height - 800 * (2 / 3)) < 1e-9);
  assert.ok(Math.abs(fit({ width: 10, height: 40 }, PLACE).width - 150) < 1e-9);
});

test("a place on the screen is the place of its point", () => {
  const view = zoomed(FITTING, 3, [120, -40]);
  for (const point of [[0, 0], [0.3, 0.8], [1, 1]] as [number, number][]) {
    const [x, y] = inPicture(onScreen(point, PICTURE, PLACE, view), PICTURE, PLACE, view);
    assert.ok(Math.abs(x - point[0]) < 1e-9 && Math.abs(y - point[1]) < 1e-9);
  }
});

test("the point that is zoomed at stays where it is", () => {
  const view = { scale: 2, x: 30, y: -10 };
  const at: [number, number] = [PLACE.width / 2 + 100, PLACE.height / 2 + 50];
  const before = inPicture(at, PICTURE, PLACE, view);
  const after = inPicture(at, PICTURE, PLACE, zoomed(view, 1.7, [100, 50]));
  assert.ok(Math.abs(before[0] - after[0]) < 1e-9 && Math.abs(before[1] - after[1]) < 1e-9);
});

test("zooming out ends with the whole picture, in the middle", () => {
  assert.deepEqual(zoomed({ scale: 2, x: 300, y: 5 }, 0.01), FITTING);
  assert.deepEqual(viewAfter("0", { scale: 5, x: 1, y: 1 }), FITTING);
  assert.equal(viewAfter("x", FITTING), null);
});
