// A picture as large as its place allows, and where its points then are on the screen.
import type { View } from "./panzoom.ts";
import type { Point } from "./types.ts";

export interface Size {
  width: number;
  height: number;
}

const LEAST = 2; // px: of a picture of one row or column something is seen

/** Return the size of a picture that fits into a place. */
export function fit(picture: Size, place: Size): Size {
  const scale = Math.min(place.width / picture.width, place.height / picture.height);
  return { width: Math.max(LEAST, picture.width * scale), height: Math.max(LEAST, picture.height * scale) };
}

/** Return where in its place, in px, a point of a fitting picture is, given in shares of it. */
export function onScreen([x, y]: Point, fitting: Size, place: Size, view: View): Point {
  return [
    place.width / 2 + view.x + (x - 0.5) * fitting.width * view.scale,
    place.height / 2 + view.y + (y - 0.5) * fitting.height * view.scale,
  ];
}

/** Return the point of the picture, in shares of it, at a place in px; the inverse of `onScreen`. */
export function inPicture([x, y]: Point, fitting: Size, place: Size, view: View): Point {
  return [
    (x - place.width / 2 - view.x) / (fitting.width * view.scale) + 0.5,
    (y - place.height / 2 - view.y) / (fitting.height * view.scale) + 0.5,
  ];
}
