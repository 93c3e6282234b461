// Which hit is open, and in which list; where the keyboard goes on in a list whose order has changed.
import { useEffect, useRef, useState } from "preact/hooks";
import { openHit } from "./address.ts";

/** Return which hit is open. */
export function useOpenHit(): number | null {
  const [hit, setHit] = useState(openHit());
  useEffect(() => {
    const look = () => setHit(openHit());
    window.addEventListener("popstate", look);
    window.addEventListener("cbir-hit", look);
    return () => {
      window.removeEventListener("popstate", look);
      window.removeEventListener("cbir-hit", look);
    };
  }, []);
  return hit;
}

let holder = ""; // the list that shows the hit that is open: the one where it was opened

/** Let a list show the hit that is opened next. */
export function hold(list: string): void {
  holder = list;
}

/** Return whether a list shows the hit that is open; of several that have it, one does. */
export function useHolds(hit: number | null, list: string, has: boolean): boolean {
  useEffect(() => () => {
    if (holder === list) holder = "";
  }, [list]);
  if (hit !== null && has && holder === "") holder = list;
  if ((hit === null || !has) && holder === list) holder = "";
  return hit !== null && holder === list;
}

/** Go on to what is to be labelled next, where somebody was, once the order is another. */
export function useGoOn(counted: string, frame: { current: HTMLElement | null }, goOn: () => void): void {
  const inside = useRef(false);
  const last = useRef(counted);
  useEffect(() => {
    const element = frame.current;
    const enter = () => { inside.current = true; };
    const leave = (event: FocusEvent) => { if (event.relatedTarget) inside.current = false; };
    element?.addEventListener("focusin", enter);
    element?.addEventListener("focusout", leave);
    return () => {
      element?.removeEventListener("focusin", enter);
      element?.removeEventListener("focusout", leave);
    };
  }, []);
  useEffect(() => {
    if (last.current !== counted && inside.current && openHit() === null) goOn();
    last.current = counted;
  }, [counted]);
}
