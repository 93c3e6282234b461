import assert from "node:assert/strict";
import { test } from "node:test";
import { swiped } from "./swipe.ts";

test("a way to the left brings the next, one to the right the one before", () => {
  assert.equal(swiped([300, 200], [120, 230]), 1);
  assert.equal(swiped([120, 200], [300, 180]), -1);
});

test("a short way and a steep one bring nothing", () => {
  assert.equal(swiped([300, 200], [270, 200]), 0);
  assert.equal(swiped([300, 200], [200, 300]), 0);
});
