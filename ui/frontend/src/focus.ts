// Where the keyboard goes on once what it was on is gone: a closed panel, a removed chip, an ended job.
import { useEffect, useRef } from "preact/hooks";

const MOST = 8; // elements that are remembered

type Place = { current: HTMLElement | null };

/** Return what has the keyboard, in whichever component; null where nothing has. */
export function focused(): Element | null {
  let element: Element | null = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element === document.body || element?.shadowRoot ? null : element;
}

const FOCUSABLE = "button, a[href], summary, input, select";

/**
 * Give the keyboard to something else once what had it inside `place` has been removed.
 *
 * That is what `next` returns, or else what is nearest: in the smallest part of the page around it
 * that is still there, what had the keyboard before, or the first that can have it.
 */
export function useKeepFocus(place: Place, next?: () => HTMLElement | null | undefined): void {
  const choose = useRef(next);
  choose.current = next;
  useEffect(() => {
    const own = place.current;
    if (!own) return;
    const stop = new AbortController();
    const options = { signal: stop.signal, capture: true };
    let inside = false;
    let before: HTMLElement[] = [];
    let around: HTMLElement[] = []; // from the inside
    own.addEventListener("focusin", (event) => {
      const target = event.target as HTMLElement;
      inside = true;
      before = [target, ...before.filter((one) => one !== target)].slice(0, MOST);
      around = event.composedPath().filter((one) => one instanceof HTMLElement && own.contains(one)) as HTMLElement[];
    }, options);
    own.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !own.contains(event.relatedTarget as Node)) inside = false;
    }, options);
    // A click beside everything takes the keyboard away on purpose.
    window.addEventListener("pointerdown", () => { inside = false; }, options);
    const watching = new MutationObserver(() => {
      if (!inside || focused() !== null) return;
      const target = choose.current?.() ?? nearest(around.filter((one) => own.contains(one)), before);
      target?.focus({ preventScroll: true });
    });
    watching.observe(own, { childList: true, subtree: true });
    return () => {
      stop.abort();
      watching.disconnect();
    };
  }, []);
}

function nearest(around: readonly HTMLElement[], before: readonly HTMLElement[]): HTMLElement | undefined {
  for (const part of around) {
    const inside = [...before.filter((one) => part.contains(one)), ...part.querySelectorAll<HTMLElement>(FOCUSABLE)];
    const found = inside.find((one) => isShown(one) && one.tabIndex >= 0);
    if (found) return found;
  }
  return undefined;
}

function isShown(element: HTMLElement): boolean {
  return element.checkVisibility() && !element.matches(":disabled");
}

/** Return whether a key, or what is pasted, is meant for a field of text. */
export function isTyping(event: Event): boolean {
  const element = event.composedPath()[0];
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
}

/** Close what a summary has opened, and leave the keyboard on it. */
export function closeByEscape(event: KeyboardEvent): void {
  const details = event.currentTarget as HTMLDetailsElement;
  if (event.key !== "Escape" || !details.open) return;
  details.open = false;
  details.querySelector("summary")?.focus();
}
