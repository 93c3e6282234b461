import assert from "node:assert/strict";
import { test } from "node:test";
import { countNew, labelKey, signature } from "./label_sets.ts";

test("filters do not change what labels belong to", () => {
  const box = "image=5&box=1%2C2%2C3%2C4";
  assert.equal(labelKey(`?${box}&name=c*&search=region`), labelKey(`?search=image&${box}`));
  assert.notEqual(labelKey("?image=5"), labelKey(`?${box}`));
});

test("the signature does not depend on the order of labelling", () => {
  assert.equal(signature({ 12: true, 7: false }), "7-,12+");
  assert.equal(signature({}), "");
});

test("new labels are those that were given, changed or taken back", () => {
  assert.equal(countNew({ 1: true, 2: false, 4: true }, { 1: true, 2: true, 3: false }), 3);
  assert.equal(countNew({ 1: true }, { 1: true }), 0);
});
