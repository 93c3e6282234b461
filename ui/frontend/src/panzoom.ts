// Zooming and moving one or several pictures together: wheel, pinch, drag, double click and keys.
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Point } from "./types.ts";

/** How pictures are shown: `scale` times as large as they fit, moved by x, y px. */
export interface View {
  scale: number;
  x: number;
  y: number;
}

export const FITTING: View = { scale: 1, x: 0, y: 0 };
const LARGEST = 12;
const STEP = 1.3;

/** Return the view with `factor` more zoom, in which the point [x, y] from the centre stays. */
export function zoomed(
  view: View,
  factor: number,
  [x, y]: Point = [0, 0],
  largest = LARGEST,
): View {
  const scale = Math.min(largest, Math.max(1, view.scale * factor));
  if (scale === 1) return FITTING;
  const change = scale / view.scale;
  return { scale, x: x - (x - view.x) * change, y: y - (y - view.y) * change };
}

export interface PanZoom {
  view: View;
  set(view: View): void;
  zoom(factor: number): void;
  /** Put on an element what lets the mouse and fingers zoom and move; `drags` with one finger. */
  attach(element: HTMLElement, drags: (event: PointerEvent) => boolean): () => void;
}

export function usePanZoom(reset: unknown, largest = LARGEST): PanZoom {
  const [view, set] = useState<View>(FITTING);
  useEffect(() => set(FITTING), [reset]);
  const zoom = useCallback((factor: number) => set((before) => zoomed(before, factor, [0, 0], largest)), [largest]);
  const attach = useCallback(
    (element: HTMLElement, drags: (event: PointerEvent) => boolean) => listen(element, drags, set, largest),
    [largest],
  );
  return { view, set, zoom, attach };
}

const shared = { name: "", view: FITTING, listeners: new Set<() => void>() };

/** Return the one view of all components that show `name`; another name starts with all of it. */
export function useSharedPanZoom(name: string): PanZoom {
  const [, redraw] = useState({});
  if (shared.name !== name) Object.assign(shared, { name, view: FITTING });
  useEffect(() => {
    const listener = () => redraw({});
    shared.listeners.add(listener);
    return () => void shared.listeners.delete(listener);
  }, []);
  const change = useCallback<Change>((next) => {
    shared.view = next(shared.view);
    for (const listener of shared.listeners) listener();
  }, []);
  const set = useCallback((view: View) => change(() => view), [change]);
  const zoom = useCallback((factor: number) => change((before) => zoomed(before, factor)), [change]);
  const attach = useCallback<PanZoom["attach"]>((element, drags) => listen(element, drags, change, LARGEST), [change]);
  return { view: shared.view, set, zoom, attach };
}

type Change = (next: (before: View) => View) => void;

function listen(
  element: HTMLElement,
  drags: (event: PointerEvent) => boolean,
  change: Change,
  largest: number,
): () => void {
  const fingers = new Map<number, Point>();
  const stop = new AbortController();
  const options = { signal: stop.signal };
  const centre = (x: number, y: number): Point => {
    const area = element.getBoundingClientRect();
    return [x - area.left - area.width / 2, y - area.top - area.height / 2];
  };
  const onWheel = (event: WheelEvent) => {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002));
    change((before) => zoomed(before, factor, centre(event.clientX, event.clientY), largest));
  };
  const onDown = (event: PointerEvent) => {
    if (event.pointerType !== "touch" && !drags(event)) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (drags(event) || fingers.size > 1) element.setPointerCapture(event.pointerId);
  };
  const onMove = (event: PointerEvent) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now: Point = [event.clientX, event.clientY];
    if (fingers.size === 1) {
      if (drags(event)) change((view) => moved(view, now[0] - before[0], now[1] - before[1]));
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const factor = distance(now, other) / Math.max(1, distance(before, other));
        const between = centre((now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
        change((view) => zoomed(view, factor, between, largest));
      }
    }
    fingers.set(event.pointerId, now);
  };
  const onUp = (event: PointerEvent) => fingers.delete(event.pointerId);
  element.addEventListener("wheel", onWheel, { passive: false, ...options });
  element.addEventListener("pointerdown", onDown, options);
  element.addEventListener("pointermove", onMove, options);
  element.addEventListener("pointerup", onUp, options);
  element.addEventListener("pointercancel", onUp, options);
  return () => stop.abort();
}

function moved(view: View, x: number, y: number): View {
  return view.scale === 1 ? view : { ...view, x: view.x + x, y: view.y + y };
}

function distance([ax, ay]: Point, [bx, by]: Point): number {
  return Math.hypot(ax - bx, ay - by);
}

/** Return the view after a key that zooms, null after any other. */
export function viewAfter(key: string, view: View, largest = LARGEST): View | null {
  if (key === "+" || key === "=") return zoomed(view, STEP, [0, 0], largest);
  if (key === "-") return zoomed(view, 1 / STEP, [0, 0], largest);
  if (key === "0") return FITTING;
  return null;
}
