// What labels belong to, and how two sets of them differ.

/** Labels of images: true for right, false for wrong. */
export type Labels = Record<number, boolean>;

const ASKED = ["image", "picture", "text", "box"]; // filters do not change what is looked for

/** Return what labels belong to: what is looked for. */
export function labelKey(search: string): string {
  const parameters = new URLSearchParams(search);
  return ASKED.flatMap((name) => parameters.getAll(name).map((text) => `${name}=${text}`)).join("&");
}

/** Return labels in a line; `signature` of ui/browser/teach_page.py makes the same. */
export function signature(labels: Labels): string {
  const ids = Object.keys(labels).map(Number).sort((a, b) => a - b);
  return ids.map((id) => `${id}${labels[id] ? "+" : "-"}`).join(",");
}

/** Return how many labels were given, changed or taken back since the ranking was asked for. */
export function countNew(labels: Labels, counted: Labels): number {
  const ids = new Set([...Object.keys(labels), ...Object.keys(counted)].map(Number));
  return [...ids].filter((id) => labels[id] !== counted[id]).length;
}
