// Labels of hits, right or wrong, kept by the browser for each query.
import { useCallback } from "preact/hooks";
import { allLabels, type Labels, useKept } from "./stores.ts";

const ASKED = ["image", "picture", "text", "box"]; // filters do not change what is looked for
const MOST_QUERIES = 50;

/** Return what labels belong to: what is looked for. */
export function labelKey(search: string = location.search): string {
  const parameters = new URLSearchParams(search);
  return ASKED.flatMap((name) => parameters.getAll(name).map((text) => `${name}=${text}`)).join("&");
}

export interface Labelling {
  labels: Labels;
  give(ids: readonly number[], right: boolean): void; // the same again takes it back
  clear(): void;
}

export function useLabels(): Labelling {
  const all = useKept(allLabels);
  const key = labelKey();
  const labels = all[key] ?? {};
  const put = useCallback((next: Labels) => {
    const { [key]: _, ...others } = allLabels.get();
    const kept = Object.entries(others).slice(1 - MOST_QUERIES);
    allLabels.set(Object.fromEntries([...kept, [key, next]]));
  }, [key]);
  const give = useCallback((ids: readonly number[], right: boolean) => {
    const next = { ...(allLabels.get()[key] ?? {}) };
    for (const id of ids) {
      if (next[id] === right && ids.length === 1) delete next[id];
      else next[id] = right;
    }
    put(next);
  }, [key, put]);
  return { labels, give, clear: () => put({}) };
}
