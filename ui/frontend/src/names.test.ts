import assert from "node:assert/strict";
import { test } from "node:test";
import { takenFor } from "./names.ts";

test("capitals, accents, spaces and hyphens do not tell names apart", () => {
  for (const name of ["Cafe", "café ", "ca-fe", "CA FE"]) assert.equal(takenFor(name, ["tea", "cafe"]), "cafe");
});

test("the name itself, and another one, are taken for none", () => {
  assert.equal(takenFor(" cafe", ["cafe"]), undefined);
  assert.equal(takenFor("caves", ["cafe"]), undefined);
});
