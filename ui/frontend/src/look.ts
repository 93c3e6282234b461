// How the images of a map look: by group, with one group or the chosen images standing out.
import type { Spots } from "./spots.ts";

/** How images look: RGBA of each, of its point and of the frame of its picture; 0 is not drawn. */
export interface Look {
  fills: Uint8Array;
  frames: Uint8Array;
}

/** Groups of images, as /page/map/groups answers: -1 stands for none of them. */
export interface Groups {
  groups: { name: string; count: number }[];
  numbers: number[];
  rest: string;
}

// Told apart by people who see few colours, too (after Tol 2021), on light and dark.
export const COLOURS = [
  "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee8866", "#44bb99", "#bb99ee",
];
export const REST = "#8a8f98";
const PLAIN = "#0d9488";
const CHOSEN = "#f59e0b";
const DIMMED = 60; // opacity, of 255

/** Return the colours of all images; `only` is the number of the group that stands out, if any. */
export function lookOf(
  spots: Spots,
  groups: Groups | null,
  only: number | null,
  chosen: ReadonlySet<number>,
): Look {
  const fills = new Uint8Array(4 * spots.count);
  const frames = new Uint8Array(4 * spots.count);
  const palette = COLOURS.map(bytes);
  const [rest, plain, marked] = [bytes(REST), bytes(PLAIN), bytes(CHOSEN)];
  for (let place = 0; place < spots.count; place++) {
    if (!spots.passes[place]) continue;
    const number = groups?.numbers[place] ?? -1;
    const own = groups ? (palette[number] ?? rest) : plain;
    const isChosen = chosen.has(spots.ids[place]!);
    const isDimmed = only !== null ? number !== only : chosen.size > 0 && !isChosen;
    const opacity = isDimmed ? DIMMED : 255;
    fills.set([...(isChosen && only === null ? marked : own), isDimmed ? DIMMED : 215], 4 * place);
    frames.set([...(isChosen ? marked : groups ? own : [255, 255, 255]), opacity], 4 * place);
  }
  return { fills, frames };
}

function bytes(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
