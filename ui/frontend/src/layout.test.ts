import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, arrangeWhole, EMPTY, imagesNear, lineOf, stepOf, visible } from "./layout.ts";
import type { Row } from "./types.ts";

function rows(count: number, weak = count): Row[] {
  return Array.from({ length: count }, (_, id) => ({
    id, v: "", n: "", w: 300 + ((id * 37) % 400), h: 300, ...(id >= weak ? { t: "weak" } : {}),
  }));
}

test("what comes later is laid out as if it had been there", () => {
  const all = rows(500);
  let made = EMPTY;
  for (const count of [48, 96, 97, 300, 500]) made = arrange(made, all.slice(0, count), 1000, 190, true);
  assert.deepEqual(made.lines, arrange(EMPTY, all, 1000, 190, true).lines);
});

test("another width lays all out again", () => {
  const all = rows(100);
  const before = arrange(EMPTY, all.slice(0, 50), 1000, 190, true);
  assert.deepEqual(arrange(before, all, 700, 190, true).lines, arrange(EMPTY, all, 700, 190, true).lines);
});

test("less certain hits that come later lie below the line", () => {
  const all = rows(60, 55);
  const made = arrange(arrange(EMPTY, all.slice(0, 48), 1000, 190, true), all, 1000, 190, true);
  assert.deepEqual(made.lines, arrange(EMPTY, all, 1000, 190, true).lines);
  assert.notEqual(made.divider, null);
});

test("only the lines near the screen are drawn, and that with the keyboard", () => {
  const { lines } = arrange(EMPTY, rows(20_000), 1000, 190, true);
  const seen = { top: 100_000, bottom: 101_000 };
  const shown = visible(lines, seen, 3);
  assert.equal(shown[0], lines[lineOf(lines, 3)]);
  assert.ok(shown.length < 20);
  for (const { top, height } of shown.slice(1)) assert.ok(top + height > 99_100 && top < 101_900);
  assert.deepEqual(visible(lines, seen, shown[4]!.tiles[0]!.index), shown.slice(1));
  assert.equal(lineOf(lines, 20_000), -1);
});

test("laying out what comes takes no longer where there is much", () => {
  const all = rows(100_000);
  const made = arrange(EMPTY, all.slice(0, 99_952), 1000, 190, false);
  const more = arrange(made, all, 1000, 190, false);
  const same = more.lines.filter((line, place) => line === made.lines[place]).length;
  assert.ok(same >= made.lines.length - 1);
});

test("a list that is known by its shapes is laid out as its rows are", () => {
  const all = rows(300);
  const whole = arrangeWhole(all.map((row) => row.w / row.h), 1000, 190);
  assert.deepEqual(whole.lines, arrange(EMPTY, all, 1000, 190, false).lines);
  assert.deepEqual(imagesNear(whole.lines, { top: 0, bottom: 600 })[0], 0);
  const [first, end] = imagesNear(whole.lines, { top: 3000, bottom: 3600 });
  assert.ok(first > 0 && end - first < 150 && end < 300);
  assert.equal(stepOf("End", whole.lines, 3), 299);
});
