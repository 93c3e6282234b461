// Where the rows of a list are on a page, and which of them are seen.
import { heightOf, justify, type Line, shape } from "./justify.ts";
import type { Window } from "./scrolling.ts";
import type { Row } from "./types.ts";

export const AHEAD = 900; // px beyond the screen that are drawn, and fetched for
const GAP = 6;
const WEAK = "weak";
const DIVIDER = 44; // px

export interface Layout {
  lines: Line[];
  divider: number | null; // where the line above the less certain hits is
  height: number;
}

/** A layout and what it was made of. */
interface Made extends Layout {
  rows: readonly Row[];
  of: string;
}

export const EMPTY: Made = { lines: [], divider: null, height: 0, rows: [], of: "" };

/** Lay out rows; where they go on from those of the layout `before`, only what is new is laid out. */
export function arrange(before: Made, rows: readonly Row[], width: number, height: number, divides: boolean): Made {
  const of = `${width} ${height} ${divides}`;
  if (width === 0) return { ...EMPTY, rows, of };
  const goesOn = before.of === of && before.divider === null && before.lines.length > 0 && beginsWith(rows, before.rows);
  const last = goesOn ? before.lines[before.lines.length - 1]! : null;
  const from = last ? last.tiles[0]!.index : 0;
  const shapes = rows.slice(from).map((row) => shape(row.w, row.h));
  const weak = divides ? rows.findIndex((row, place) => place >= (goesOn ? before.rows.length : 0) && row.t === WEAK) : -1;
  if (weak > 0 && goesOn) return arrange(EMPTY, rows, width, height, divides);
  const kept = last ? before.lines.slice(0, -1) : [];
  if (weak <= 0) {
    const lines = [...kept, ...justify(shapes, width, height, GAP, last?.top ?? 0, from)];
    return { lines, divider: null, height: heightOf(lines), rows, of };
  }
  const upper = justify(shapes.slice(0, weak), width, height, GAP);
  const divider = heightOf(upper) + GAP;
  const lower = justify(shapes.slice(weak), width, height, GAP, divider + DIVIDER, weak);
  return { lines: [...upper, ...lower], divider, height: heightOf(lower), rows, of };
}

/** Lay out a list whose images are all known by their shapes. */
export function arrangeWhole(shapes: readonly number[], width: number, height: number): Layout {
  const lines = width === 0 ? [] : justify(shapes, width, height, GAP);
  return { lines, divider: null, height: heightOf(lines) };
}

function indexesOf(lines: readonly Line[]): [number, number] {
  const tiles = lines.flatMap((line) => line.tiles);
  return tiles.length ? [tiles[0]!.index, tiles[tiles.length - 1]!.index + 1] : [0, 0];
}

function beginsWith(rows: readonly Row[], before: readonly Row[]): boolean {
  const end = before.length - 1;
  return rows.length >= before.length && rows[0] === before[0] && rows[end] === before[end];
}

/** Return the places of the lines on the screen and near it: of the first, and before the end. */
function near(lines: readonly Line[], seen: Window): [number, number] {
  const first = firstWhere(lines, ({ top, height }) => top + height > seen.top - AHEAD);
  return [first, firstWhere(lines, ({ top }) => top >= seen.bottom + AHEAD)];
}

/** Return which images are on the screen and near it: from the first to before the end. */
export function imagesNear(lines: readonly Line[], seen: Window): [number, number] {
  return indexesOf(lines.slice(...near(lines, seen)));
}

/** Return the lines on the screen and near it, and that of the picture with the keyboard. */
export function visible(lines: readonly Line[], seen: Window, current: number): Line[] {
  const [first, end] = near(lines, seen);
  const own = lineOf(lines, current);
  const shown = lines.slice(first, end);
  if (own < 0 || (own >= first && own < end)) return shown;
  return own < first ? [lines[own]!, ...shown] : [...shown, lines[own]!];
}

/** Return the place of the line that has a picture, -1 where none has it. */
export function lineOf(lines: readonly Line[], index: number): number {
  const place = firstWhere(lines, ({ tiles }) => tiles[tiles.length - 1]!.index >= index);
  return place < lines.length ? place : -1;
}

/** Return the place of the line at a height, in px from the top of the list. */
export function lineAt(lines: readonly Line[], px: number): number {
  return firstWhere(lines, ({ top, height }) => top + height > px);
}

/** Return the place of the first line for which something is true that is so of all after it. */
function firstWhere(lines: readonly Line[], isTrue: (line: Line) => boolean): number {
  let [low, high] = [0, lines.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isTrue(lines[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Return which picture an arrow key leads to, null for other keys. */
export function stepOf(key: string, lines: readonly Line[], current: number): number | null {
  if (key === "ArrowRight") return current + 1;
  if (key === "ArrowLeft") return current - 1;
  if (key === "Home") return 0;
  if (key === "End") return indexesOf(lines.slice(-1))[1] - 1;
  if (key !== "ArrowDown" && key !== "ArrowUp") return null;
  const at = lineOf(lines, current);
  const tile = lines[at]?.tiles.find(({ index }) => index === current);
  const target = lines[at + (key === "ArrowDown" ? 1 : -1)];
  if (!tile || !target) return current;
  const middle = tile.left + tile.width / 2;
  const away = (one: { left: number; width: number }) => Math.abs(one.left + one.width / 2 - middle);
  return target.tiles.reduce((best, one) => (away(one) < away(best) ? one : best)).index;
}
