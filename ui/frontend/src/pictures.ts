// Addresses of pictures, in sizes that suit the screen.
import type { Row } from "./types.ts";

const SIDES = [160, 320, 640];

/** Return the address of a thumbnail that fills `px` CSS pixels on its longer side. */
export function thumbnail(row: Pick<Row, "id" | "v">, px: number): string {
  const needed = px * Math.min(2, window.devicePixelRatio || 1);
  const side = SIDES.find((one) => one >= needed * 0.8) ?? SIDES[SIDES.length - 1];
  return `/v1/images/${row.id}/thumbnail?side=${side}&v=${row.v}`;
}

/** Return the address of a picture that fills a screen. */
export function large(row: Pick<Row, "id" | "v">): string {
  return `/v1/images/${row.id}/picture?v=${row.v}`;
}
