// Labels of hits, right or wrong, and which of them the ranking counts: kept by the browser for each query.
import { useCallback } from "preact/hooks";
import { labelKey, type Labels } from "./label_sets.ts";
import { allCounted, allLabels, type Kept, useKept } from "./stores.ts";

const MOST_QUERIES = 50;

export interface Labelling {
  labels: Labels;
  counted: Labels; // those that the ranking is to count
  give(ids: readonly number[], right: boolean): void; // the same again takes it back
  add(more: Labels): void;
  rank(): void; // let all labels count
  clear(): void;
}

const NONE: Labels = {};

/** Return the labels of what is looked for, and what changes them. */
export function useLabels(asked: string): Labelling {
  const key = labelKey(asked);
  const labels = useKept(allLabels)[key] ?? NONE;
  const counted = useKept(allCounted)[key] ?? NONE;
  const give = useCallback((ids: readonly number[], right: boolean) => {
    const next = { ...allLabels.get()[key] };
    for (const id of ids) {
      if (next[id] === right && ids.length === 1) delete next[id];
      else next[id] = right;
    }
    put(allLabels, key, next);
  }, [key]);
  return {
    labels,
    counted,
    give,
    add: (more) => put(allLabels, key, { ...allLabels.get()[key], ...more }),
    rank: () => put(allCounted, key, allLabels.get()[key] ?? NONE),
    clear: () => {
      put(allLabels, key, NONE);
      put(allCounted, key, NONE);
    },
  };
}

/** Keep labels of what is looked for, those of the last queries at most. */
function put(kept: Kept<Record<string, Labels>>, key: string, next: Labels): void {
  const { [key]: _, ...others } = kept.get();
  kept.set(Object.fromEntries([...Object.entries(others).slice(1 - MOST_QUERIES), [key, next]]));
}
