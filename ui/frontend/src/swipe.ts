// A finger that moves to the left or right over pictures: the next one, or the one before.
import { useRef } from "preact/hooks";
import type { Point } from "./types.ts";

const LEAST_PX = 50;
const STEEPEST = 0.5; // height / width of the way

/** Return 1 for a way to the left, which brings the next, -1 for one to the right, 0 for any other. */
export function swiped([fromX, fromY]: Point, [toX, toY]: Point): -1 | 0 | 1 {
  const [x, y] = [toX - fromX, toY - fromY];
  if (Math.abs(x) < LEAST_PX || Math.abs(y) > STEEPEST * Math.abs(x)) return 0;
  return x < 0 ? 1 : -1;
}

/** Return what an element needs so that one finger, not two, steps; `can` is false while it moves the picture. */
export function useSwipe(can: boolean, step: (by: -1 | 1) => void) {
  const start = useRef<Point | null>(null);
  const stop = () => { start.current = null; };
  return {
    onPointerDown: (event: PointerEvent) => {
      const begins = can && event.pointerType === "touch" && event.isPrimary;
      start.current = begins ? [event.clientX, event.clientY] : null;
    },
    onPointerUp: (event: PointerEvent) => {
      const by = start.current ? swiped(start.current, [event.clientX, event.clientY]) : 0;
      stop();
      if (by) step(by);
    },
    onPointerCancel: stop,
  };
}
