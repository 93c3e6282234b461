// The scrolled part of the page, which Streamlit draws the components into.
import { useEffect, useLayoutEffect, useState } from "preact/hooks";

export function scroller(): HTMLElement {
  return document.querySelector<HTMLElement>('[data-testid="stMain"]') ?? document.documentElement;
}

const places = new Map<string, number>();

/** Forget how far down a list was: whoever goes there by a link starts at the top. */
export function forgetPlace(asked: string): void {
  places.delete(asked);
}

/** Start another list at the top, or where it was left, if it is gone back to; null stays. */
export function usePlaceOf(asked: string | null): void {
  useLayoutEffect(() => {
    if (asked === null) return;
    const part = scroller();
    part.scrollTop = places.get(asked) ?? 0;
    const note = () => places.set(asked, part.scrollTop);
    part.addEventListener("scroll", note, { passive: true });
    return () => part.removeEventListener("scroll", note);
  }, [asked]);
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
