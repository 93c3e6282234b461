// The address of the page is all that it is asked; going somewhere else is a step of the history.
import { forgetPlace } from "./scrolling.ts";

/** Go to another address of these pages, as a link does, but without loading the page again. */
export function go(href: string): void {
  const target = new URL(href, location.href);
  if (target.href === location.href) return;
  forgetPlace(askedOf(target.search));
  history.pushState({}, "", target);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

/** Return the address with some parameters changed; null or an empty list takes one away. */
export function changed(
  changes: Record<string, string | string[] | null>,
  from: string = location.search,
): string {
  const parameters = new URLSearchParams(from);
  for (const [name, value] of Object.entries(changes)) {
    parameters.delete(name);
    for (const text of value === null ? [] : [value].flat()) parameters.append(name, text);
  }
  return `?${parameters}`;
}

/** Let a click on a link go there without loading the page, unless it is to open a new tab. */
export function follow(event: MouseEvent): void {
  const link = (event.currentTarget as HTMLElement).closest("a");
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
}

const HIT = "hit";

/** Return the parameters that say what is asked: all but which hit is open. */
export function askedOf(search: string = location.search): string {
  const parameters = new URLSearchParams(search);
  parameters.delete(HIT);
  return parameters.toString();
}

/** Return the image that is open, by the address. */
export function openHit(search: string = location.search): number | null {
  const text = new URLSearchParams(search).get(HIT);
  return text && /^\d+$/.test(text) ? Number(text) : null;
}

/** Say in the address which image is open; a step to another one adds none to the history. */
export function showHit(id: number): void {
  const search = changed({ [HIT]: String(id) });
  if (openHit() === null) history.pushState({ opened: true }, "", search);
  else history.replaceState(history.state, "", search);
  window.dispatchEvent(new Event("cbir-hit"));
}

/** Close what is open: a step back, where it was opened here. */
export function hideHit(): void {
  if (history.state?.opened) {
    history.back();
    return;
  }
  history.replaceState({}, "", changed({ [HIT]: null }));
  window.dispatchEvent(new Event("cbir-hit"));
}

/** Return the address of a file of the pages for what is asked, such as `facts`. */
export function beside(name: string, more: Record<string, string | number>): string {
  const parameters = new URLSearchParams(askedOf());
  for (const [key, value] of Object.entries(more)) parameters.set(key, String(value));
  return `/page/${name}?${parameters}`;
}

const WITHOUT_HITS = ["/collection", "/duplicates", "/lab"];

/** Return the address that asks something: here, or on the search page from where there are no hits. */
export function asking(changes: Record<string, string | string[] | null>): string {
  return withHits(changed({ hit: null, ...changes }));
}

/** Return the address of a query on a page that shows its hits: here, or on the search page.
 *
 * It names the page: a link may be clicked when the address has changed and the page is not drawn yet.
 */
export function withHits(search: string): string {
  if (!WITHOUT_HITS.includes(location.pathname)) return location.pathname + search;
  return `/${changed({ [VIEW]: null }, search)}`;
}

export const VIEW = "show"; // which part of the collection is shown
