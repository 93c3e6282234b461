import assert from "node:assert/strict";
import { test } from "node:test";
import { lastDay, yearsOf } from "./timeline.ts";

test("months are joined to years, in order", () => {
  const years = yearsOf([
    { year: 2020, month: 2, count: 3 },
    { year: 2019, month: 12, count: 1 },
    { year: 2020, month: 3, count: 4 },
  ]);
  assert.deepEqual(years.map(({ year, count }) => [year, count]), [[2019, 1], [2020, 7]]);
  assert.deepEqual(years[1]!.months.slice(0, 4), [0, 3, 4, 0]);
});

test("the last day of a month", () => {
  assert.deepEqual([lastDay(2024, 2), lastDay(2023, 2), lastDay(2023, 12)], ["29", "28", "31"]);
});
