// Where the images of a map are: which is near a place, and which lie inside an outline.
import type { Point } from "./types.ts";

/** Images on a map; all arrays in the same order, coordinates from 0 to 1. */
export interface Spots {
  count: number;
  ids: Float64Array;
  passes: Int32Array; // whether an image passes the filters: 1 or 0
  points: Float32Array; // x, y of each
  shapes: Float32Array; // width / height
}

const BYTES = 24;

/** Read what /page/map answers with. */
export function readSpots(data: ArrayBuffer): Spots {
  const count = data.byteLength / BYTES;
  return {
    count,
    ids: new Float64Array(data, 0, count),
    passes: new Int32Array(data, 8 * count, count),
    points: new Float32Array(data, 12 * count, 2 * count),
    shapes: new Float32Array(data, 20 * count, count),
  };
}

/** Return how many images pass the filters. */
export function passing({ passes }: Spots): number {
  return passes.reduce((sum, one) => sum + one, 0);
}

/** Finds what is near a place: images sorted into the cells of a grid. */
export class SpotIndex {
  private readonly spots: Spots;
  private readonly side: number;
  private readonly starts: Uint32Array;
  private readonly places: Uint32Array;

  constructor(spots: Spots) {
    this.spots = spots;
    this.side = Math.max(1, Math.min(256, Math.ceil(Math.sqrt(spots.count / 4))));
    const cells = new Uint32Array(spots.count);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let place = 0; place < spots.count; place++) {
      cells[place] = this.cell(spots.points[2 * place]!, spots.points[2 * place + 1]!);
      this.starts[cells[place]! + 1]!++;
    }
    for (let cell = 0; cell < this.side * this.side; cell++) this.starts[cell + 1]! += this.starts[cell]!;
    const next = this.starts.slice();
    this.places = new Uint32Array(spots.count);
    for (let place = 0; place < spots.count; place++) this.places[next[cells[place]!]!++] = place;
  }

  /**
   * Return the nearest image that passes the filters, null where none is near.
   *
   * `reach` are the largest distances in x and y; the lengths of both are taken for equal.
   */
  nearest([x, y]: Point, [across, down]: Point): number | null {
    let best: number | null = null;
    let least = 1; // of squared distances, in shares of the reach
    const [x0, x1] = [this.column(x - across), this.column(x + across)];
    for (let row = this.column(y - down); row <= this.column(y + down); row++) {
      for (let at = this.starts[row * this.side + x0]!; at < this.starts[row * this.side + x1 + 1]!; at++) {
        const place = this.places[at]!;
        if (!this.spots.passes[place]) continue;
        const dx = (this.spots.points[2 * place]! - x) / across;
        const dy = (this.spots.points[2 * place + 1]! - y) / down;
        const distance = dx * dx + dy * dy;
        if (distance < least) [best, least] = [place, distance];
      }
    }
    return best;
  }

  private cell(x: number, y: number): number {
    return this.column(y) * this.side + this.column(x);
  }

  private column(x: number): number {
    return Math.max(0, Math.min(this.side - 1, Math.floor(x * this.side)));
  }
}

/** Return the images inside an outline that pass the filters, in the order of the map. */
export function inside(spots: Spots, outline: readonly Point[]): number[] {
  const xs = outline.map(([x]) => x);
  const ys = outline.map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found: number[] = [];
  for (let place = 0; place < spots.count; place++) {
    const x = spots.points[2 * place]!;
    const y = spots.points[2 * place + 1]!;
    if (!spots.passes[place] || x < left || x > right || y < top || y > bottom) continue;
    if (isInside(x, y, outline)) found.push(place);
  }
  return found;
}

/** Whether a line from a point to the right crosses the outline an odd number of times. */
function isInside(x: number, y: number, outline: readonly Point[]): boolean {
  let odd = false;
  outline.forEach(([x1, y1], place) => {
    const [x0, y0] = outline[(place || outline.length) - 1]!;
    if (y0 > y !== y1 > y && x < x0 + ((x1 - x0) * (y - y0)) / (y1 - y0)) odd = !odd;
  });
  return odd;
}
