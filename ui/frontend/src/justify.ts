// Justified rows: pictures of one height fill each row from edge to edge, as in a photo book.

export interface Placed {
  index: number;
  left: number;
  width: number;
}

export interface Line {
  top: number;
  height: number;
  tiles: Placed[];
}

const NARROWEST = 0.5; // width / height; narrower and wider pictures are cut at the edges
const WIDEST = 2.6;
const TALLEST = 1.35; // how much higher than asked the last row of a part may be

/** Return width / height of the place that a picture gets. */
export function shape(width: number, height: number): number {
  return Math.min(WIDEST, Math.max(NARROWEST, width / height));
}

/**
 * Lay pictures of the given shapes (width / height) out in rows of about `height` px.
 *
 * All rows fill `width` px, except the last, whose pictures are no higher than asked.
 */
export function justify(
  shapes: readonly number[],
  width: number,
  height: number,
  gap: number,
  top = 0,
  first = 0,
): Line[] {
  const lines: Line[] = [];
  let begin = 0;
  let sum = 0;
  shapes.forEach((one, place) => {
    sum += one;
    const gaps = gap * (place - begin);
    const isLast = place === shapes.length - 1;
    if (sum * height + gaps < width && !isLast) return;
    const fitting = (width - gaps) / sum;
    const high = Math.min(fitting, isLast ? height : height * TALLEST);
    lines.push(line(shapes, begin, place + 1, high, gap, top, first));
    top += high + gap;
    begin = place + 1;
    sum = 0;
  });
  return lines;
}

function line(
  shapes: readonly number[],
  begin: number,
  end: number,
  height: number,
  gap: number,
  top: number,
  first: number,
): Line {
  let left = 0;
  const tiles = shapes.slice(begin, end).map((one, place) => {
    const tile = { index: first + begin + place, left, width: one * height };
    left += tile.width + gap;
    return tile;
  });
  return { top, height, tiles };
}

/** Return the height of all lines, with a gap below the last. */
export function heightOf(lines: readonly Line[]): number {
  const last = lines[lines.length - 1];
  return last ? last.top + last.height : 0;
}
