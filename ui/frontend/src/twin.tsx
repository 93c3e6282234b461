// A picture of a group of duplicates: zoomed together with the others, with the outlines of parts.
import { useEffect } from "preact/hooks";
import { Mark } from "./mark.tsx";
import { Pane } from "./pane.tsx";
import { useSharedPanZoom, viewAfter } from "./panzoom.ts";
import type { Mounted } from "./types.ts";

/** What Python says of a picture of a group; outlines are corners x, y in its pixels. */
export interface TwinData {
  group: string; // what is zoomed together
  place: number; // in the group, from 1
  title: string;
  name: string;
  src: string;
  behind: string; // a smaller picture, shown until the other is here
  w: number;
  h: number;
  outlines: number[][];
  next: string[]; // pictures of the group after this one
}

export function Twin({ data }: Mounted<TwinData>) {
  const { group, place, title, name, src, behind, w, h, outlines, next } = data;
  const pan = useSharedPanZoom(group);
  useKeys(place === 1, pan);
  useEffect(() => {
    for (const address of next) new Image().src = address;
  }, [next.join(" ")]);
  return (
    <figure class="twin">
      <figcaption>
        <strong>{title}</strong>
        <span class="name" title={name}>{name}</span>
      </figcaption>
      <Pane name={`${place}: ${name}`} src={src} behind={behind} size={{ width: w, height: h }} pan={pan}>
        {outlines.map((corners) => <Mark row={{ id: 0, v: "", n: "", w, h, q: corners }} />)}
      </Pane>
      <div class="zoom" role="group" aria-label={`Zoom of all pictures, at ${name}`}>
        <button type="button" onClick={() => pan.zoom(1 / 1.5)} aria-label="Smaller" title="Smaller (−)">−</button>
        <button type="button" onClick={() => pan.zoom(1 / 99)} title="Whole picture (0)">{Math.round(100 * pan.view.scale)} %</button>
        <button type="button" onClick={() => pan.zoom(1.5)} aria-label="Larger" title="Larger (+)">+</button>
      </div>
    </figure>
  );
}

/** Let the keys +, − and 0 zoom, wherever on the page somebody is, but where they type. */
function useKeys(listens: boolean, { view, set }: ReturnType<typeof useSharedPanZoom>): void {
  useEffect(() => {
    if (!listens) return;
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.composedPath()[0] instanceof HTMLInputElement) return;
      const next = viewAfter(event.key, view);
      if (next) set(next);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [listens, view]);
}
