// Sheets of small pictures, fetched as the map comes near to them; the last ones are kept.
import { inPicture, type Size } from "./fit.ts";
import type { View } from "./panzoom.ts";
import type { Spots } from "./spots.ts";

export const CELL_PX = 64; // as in ui/drawn_map.py
export const CELLS = 16;
export const SHEET_IMAGES = CELLS * CELLS;
const MOST = 32; // kept; each takes 4 MB of graphics memory
const AT_ONCE = 3; // fetched
const AGAIN_MS = 4000; // after a fault

export interface Sheet<Kept> {
  number: number;
  picture: Kept;
}

/** What becomes of a sheet that has come, and how it goes again. */
interface Uses<Kept> {
  make(picture: ImageBitmap): Kept;
  drop(kept: Kept): void;
  onArrival(): void;
}

interface Seen {
  place: Size;
  fitting: Size;
  view: View;
}

/** Left, right, top and bottom of the images of a sheet that pass the filters. */
type Bounds = [number, number, number, number];

export class Sheets<Kept> {
  private readonly bounds: Bounds[];
  private readonly loaded = new Map<number, Kept>(); // the last used one is last
  private readonly loading = new Set<number>();
  private readonly failed = new Map<number, number>(); // when
  private readonly gone = new AbortController();

  constructor(
    spots: Spots,
    private readonly address: (number: number) => string,
    private readonly uses: Uses<Kept>,
  ) {
    const count = Math.ceil(spots.count / SHEET_IMAGES);
    this.bounds = Array.from({ length: count }, (_, number) => boundsOf(spots, number));
  }

  /** Return the sheets, of those that are there, with images on the screen; the others are fetched. */
  near(seen: Seen): Sheet<Kept>[] {
    const wanted = this.onScreen(seen).slice(0, MOST);
    const found: Sheet<Kept>[] = [];
    for (const number of wanted) {
      const picture = this.loaded.get(number);
      if (picture !== undefined) {
        this.loaded.delete(number);
        this.loaded.set(number, picture);
        found.push({ number, picture });
      } else if (this.loading.size < AT_ONCE && this.mayTry(number)) void this.load(number);
    }
    return found;
  }

  close(): void {
    this.gone.abort();
    for (const kept of this.loaded.values()) this.uses.drop(kept);
  }

  /** Return the sheets on the screen, those nearest to its middle first. */
  private onScreen({ place, fitting, view }: Seen): number[] {
    const [x0, y0] = inPicture([0, 0], fitting, place, view);
    const [x1, y1] = inPicture([place.width, place.height], fitting, place, view);
    const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
    const away = (number: number) => {
      const [left, right, top, bottom] = this.bounds[number]!;
      return Math.hypot((left + right) / 2 - x, (top + bottom) / 2 - y);
    };
    return [...this.bounds.keys()]
      .filter((number) => {
        const [left, right, top, bottom] = this.bounds[number]!;
        return left <= x1 && right >= x0 && top <= y1 && bottom >= y0;
      })
      .sort((a, b) => away(a) - away(b));
  }

  private mayTry(number: number): boolean {
    return !this.loading.has(number) && Date.now() - (this.failed.get(number) ?? 0) > AGAIN_MS;
  }

  private async load(number: number): Promise<void> {
    this.loading.add(number);
    try {
      const answer = await fetch(this.address(number), { signal: this.gone.signal });
      if (!answer.ok) throw new Error(answer.statusText);
      const picture = await createImageBitmap(await answer.blob());
      if (this.gone.signal.aborted) return;
      this.loaded.set(number, this.uses.make(picture));
      picture.close();
      this.dropOldest();
    } catch {
      this.failed.set(number, Date.now());
    }
    this.loading.delete(number);
    if (!this.gone.signal.aborted) this.uses.onArrival();
  }

  private dropOldest(): void {
    for (const [number, kept] of this.loaded) {
      if (this.loaded.size <= MOST) return;
      this.loaded.delete(number);
      this.uses.drop(kept);
    }
  }
}

function boundsOf(spots: Spots, number: number): Bounds {
  const bounds: Bounds = [1, 0, 1, 0];
  const end = Math.min(spots.count, (number + 1) * SHEET_IMAGES);
  for (let place = number * SHEET_IMAGES; place < end; place++) {
    if (!spots.passes[place]) continue;
    const x = spots.points[2 * place]!;
    const y = spots.points[2 * place + 1]!;
    bounds[0] = Math.min(bounds[0], x);
    bounds[1] = Math.max(bounds[1], x);
    bounds[2] = Math.min(bounds[2], y);
    bounds[3] = Math.max(bounds[3], y);
  }
  return bounds;
}
