import assert from "node:assert/strict";
import { test } from "node:test";
import { inside, readSpots, SpotIndex } from "./spots.ts";

const PLACES: [number, number][] = [[0, 0], [0.5, 0.5], [0.52, 0.5], [1, 1], [0.9, 0.1]];

function spots(passing = [1, 1, 1, 1, 1]) {
  const data = new ArrayBuffer(24 * PLACES.length);
  const made = readSpots(data);
  PLACES.forEach(([x, y], place) => {
    made.ids[place] = 10 + place;
    made.passes[place] = passing[place]!;
    made.points.set([x, y], 2 * place);
    made.shapes[place] = 1.5;
  });
  return made;
}

test("what a server sends is read in its order", () => {
  const { count, ids, points, shapes } = spots();
  assert.equal(count, 5);
  assert.deepEqual([...ids], [10, 11, 12, 13, 14]);
  assert.ok(Math.abs(points[4]! - 0.52) < 1e-6);
  assert.equal(shapes[4], 1.5);
});

test("the nearest image within reach is found", () => {
  const index = new SpotIndex(spots());
  assert.equal(index.nearest([0.518, 0.5], [0.05, 0.05]), 2);
  assert.equal(index.nearest([0.99, 0.99], [0.05, 0.05]), 3);
  assert.equal(index.nearest([-0.01, 0.01], [0.05, 0.05]), 0);
  assert.equal(index.nearest([0.3, 0.3], [0.05, 0.05]), null);
});

test("what the filters leave out is not found", () => {
  const without = spots([1, 1, 0, 1, 1]);
  assert.equal(new SpotIndex(without).nearest([0.518, 0.5], [0.05, 0.05]), 1);
  assert.deepEqual(inside(without, [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]), [1]);
});

test("an outline may be dented", () => {
  const dented: [number, number][] = [[-0.1, -0.1], [1.1, -0.1], [1.1, 1.1], [0.5, 0.3], [-0.1, 1.1]];
  assert.deepEqual(inside(spots(), dented), [0, 4]);
});
