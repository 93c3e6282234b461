// Boxes on a picture: drawn in shares of its sides, asked with in pixels of the original.
import type { Box, Picture, Point } from "./types.ts";

/** x0, y0, x1, y1 in shares of the sides, 0 to 1. */
export type Share = [number, number, number, number];
type Size = Pick<Picture, "w" | "h">;

const SMALLEST = 0.01;
const STEP = 0.02;

/** Whether a box is so small that a click was meant. */
export function isTiny([x0, y0, x1, y1]: Share): boolean {
  return x1 - x0 < SMALLEST || y1 - y0 < SMALLEST;
}

/** Where arrow keys move a box to, in shares of the sides. */
export const MOVES: Record<string, Point | undefined> = {
  ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
};

/** Return a box moved, or its lower right corner, and kept inside the picture. */
export function moved([x0, y0, x1, y1]: Share, [dx, dy]: Point, resize: boolean): Share {
  if (resize) return [x0, y0, Math.max(x0 + STEP, clamp(x1 + dx)), Math.max(y0 + STEP, clamp(y1 + dy))];
  const mx = Math.max(-x0, Math.min(1 - x1, dx));
  const my = Math.max(-y0, Math.min(1 - y1, dy));
  return [x0 + mx, y0 + my, x1 + mx, y1 + my];
}

/** Read boxes in pixels, `x0,y0,x1,y1; …`; null where they are none inside the picture. */
export function parse(text: string, { w, h }: Size): Share[] | null {
  const found: Share[] = [];
  for (const part of text.split(";").filter((one) => one.trim())) {
    const [x0, y0, x1, y1, ...rest] = part.split(",").map(Number);
    if (rest.length || x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined) return null;
    if (!(x0 >= 0 && y0 >= 0 && x1 > x0 && y1 > y0 && x1 <= w && y1 <= h)) return null;
    found.push([x0 / w, y0 / h, x1 / w, y1 / h]);
  }
  return found;
}

/** Return the box between two points. */
export function between([ax, ay]: Point, [bx, by]: Point): Share {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

/** Return a box in pixels as shares of the sides. */
export function toShare([x0, y0, x1, y1]: Box, { w, h }: Size): Share {
  return [x0 / w, y0 / h, x1 / w, y1 / h];
}

/** Return a box in pixels of the original, at least one of them wide and high. */
export function toBox([x0, y0, x1, y1]: Share, { w, h }: Size): Box {
  const left = Math.min(Math.floor(x0 * w), w - 1);
  const top = Math.min(Math.floor(y0 * h), h - 1);
  return [
    left,
    top,
    Math.min(w, Math.max(left + 1, Math.round(x1 * w))),
    Math.min(h, Math.max(top + 1, Math.round(y1 * h))),
  ];
}

export function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
