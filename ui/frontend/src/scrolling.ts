// The scrolled part of the page, which Streamlit draws the components into.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

export function scroller(): HTMLElement {
  return document.querySelector<HTMLElement>('[data-testid="stMain"]') ?? document.documentElement;
}

const PLACES = "cbir-places";
const MOST_PLACES = 50;
const places = new Map<string, number>(keptPlaces());
window.addEventListener("pagehide", keepPlaces);

/** Forget how far down a list was: whoever goes there by a link starts at the top. */
export function forgetPlace(asked: string): void {
  const wanted = sorted(asked);
  for (const list of places.keys()) if (sorted(list.slice(list.indexOf("?") + 1)) === wanted) places.delete(list);
}

function sorted(asked: string): string {
  const parameters = new URLSearchParams(asked);
  parameters.sort();
  return parameters.toString();
}

function keptPlaces(): [string, number][] {
  try {
    return JSON.parse(sessionStorage.getItem(PLACES) ?? "[]") as [string, number][];
  } catch {
    return []; // a forbidden storage: places last as long as the page
  }
}

function keepPlaces(): void {
  try {
    sessionStorage.setItem(PLACES, JSON.stringify([...places].slice(-MOST_PLACES)));
  } catch {
    // A full or forbidden storage: lists start at the top after a reload.
  }
}

const BY_HAND = ["wheel", "touchstart", "pointerdown", "keydown"];

/**
 * Start another list at the top, or where it was left, if it is gone back to; null stays.
 *
 * `height` is that of the list as it grows: the place is taken once the list is high enough, unless
 * somebody scrolls before.
 */
export function usePlaceOf(asked: string | null, height: number): void {
  const wanted = useRef(0);
  useLayoutEffect(() => {
    if (asked === null) return;
    const part = scroller();
    wanted.current = places.get(asked) ?? 0;
    part.scrollTop = wanted.current;
    const note = () => {
      if (wanted.current) return;
      places.delete(asked); // the last one noted is kept longest
      places.set(asked, part.scrollTop);
    };
    const take = () => { wanted.current = 0; };
    part.addEventListener("scroll", note, { passive: true });
    for (const event of BY_HAND) window.addEventListener(event, take, { passive: true, capture: true });
    return () => {
      part.removeEventListener("scroll", note);
      for (const event of BY_HAND) window.removeEventListener(event, take, { capture: true });
    };
  }, [asked]);
  useLayoutEffect(() => {
    if (!wanted.current) return;
    const part = scroller();
    part.scrollTop = wanted.current;
    if (part.scrollTop >= wanted.current - 1) wanted.current = 0;
  }, [height]);
}

export interface Window {
  top: number; // of what is seen, below the upper edge of the element, in px
  bottom: number;
}

const STEP = 60; // px: what is near the screen is drawn, so a smaller step would change nothing

/** Return about which part of an element is seen, while it is scrolled and resized. */
export function useWindow(element: { current: HTMLElement | null }): Window {
  const [seen, setSeen] = useState<Window>({ top: 0, bottom: window.innerHeight });
  useEffect(() => {
    const part = scroller();
    const look = () => {
      if (!element.current) return;
      const top = STEP * Math.round(-element.current.getBoundingClientRect().top / STEP);
      const bottom = top + window.innerHeight;
      setSeen((before) => (before.top === top && before.bottom === bottom ? before : { top, bottom }));
    };
    look();
    part.addEventListener("scroll", look, { passive: true });
    window.addEventListener("resize", look);
    const watching = new ResizeObserver(look);
    watching.observe(part);
    return () => {
      part.removeEventListener("scroll", look);
      window.removeEventListener("resize", look);
      watching.disconnect();
    };
  }, [element]);
  return seen;
}

/** Return the width of an element, in px, as it changes; 0 before it is drawn. */
export function useWidth(element: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const measured = element.current;
    if (!measured) return;
    setWidth(measured.clientWidth);
    const watching = new ResizeObserver(() => setWidth(measured.clientWidth));
    watching.observe(measured);
    return () => watching.disconnect();
  }, [element]);
  return width;
}
