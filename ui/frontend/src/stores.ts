// What the browser keeps for itself: what is selected, the labels, the trail of queries, settings.
// A store tells all components of the page when it changes, and survives a reload.
import { useEffect, useState } from "preact/hooks";
import type { Labels } from "./label_sets.ts";

type Listener = () => void;

/** A value in the storage of the browser, under a name; unreadable ones count as absent. */
export class Kept<Value> {
  private readonly listeners = new Set<Listener>();
  private value: Value;

  constructor(
    private readonly name: string,
    private readonly absent: Value,
    private readonly storage: () => Storage = () => sessionStorage,
  ) {
    this.value = this.read();
    window.addEventListener("storage", (event) => {
      if (event.key === this.key || event.key === null) this.take(this.read()); // another tab has changed it
    });
  }

  private get key(): string {
    return `cbir-${this.name}`;
  }

  get(): Value {
    return this.value;
  }

  set(value: Value): void {
    try {
      this.storage().setItem(this.key, JSON.stringify(value));
    } catch {
      // A full or forbidden storage: the value lasts as long as the page.
    }
    this.take(value);
  }

  private take(value: Value): void {
    this.value = value;
    for (const listener of this.listeners) listener();
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private read(): Value {
    try {
      const text = this.storage().getItem(this.key);
      return text === null ? this.absent : (JSON.parse(text) as Value);
    } catch {
      return this.absent;
    }
  }
}

/** Return the value of a store, and draw the component again when it changes. */
export function useKept<Value>(kept: Kept<Value>): Value {
  const [value, setValue] = useState(kept.get());
  useEffect(() => kept.listen(() => setValue(kept.get())), [kept]);
  return value;
}

export const selected = new Kept<number[]>("selected", []);

/** Select images, or take them out. */
export function select(ids: readonly number[], on: boolean): void {
  const chosen = new Set(selected.get());
  for (const id of ids) on ? chosen.add(id) : chosen.delete(id);
  selected.set([...chosen]);
}

export interface Step {
  href: string; // what was asked
  src: string; // its picture, empty for a word
  label: string;
}

const LONGEST_TRAIL = 12;
export const trail = new Kept<Step[]>("trail", []);

/** Note a query; the same one again moves to the front. */
export function noteStep(step: Step): void {
  const before = trail.get();
  if (before[0]?.href === step.href) return;
  const others = before.filter(({ href }) => href !== step.href);
  trail.set([step, ...others].slice(0, LONGEST_TRAIL));
}

/** Forget a query whose picture is gone. */
export function forgetStep(href: string): void {
  trail.set(trail.get().filter((step) => step.href !== href));
}

export const density = new Kept<number>("row-height", 190, () => localStorage);

/** Labels of images by what was asked. */
export const allLabels = new Kept<Record<string, Labels>>("labels", {}, () => localStorage);

/** The labels that the ranking counts, by what was asked: those of the last time it was asked for. */
export const allCounted = new Kept<Record<string, Labels>>("counted", {}, () => localStorage);

/** Where each concept was taught in this browser: what was asked, by the name of the concept. */
export const taughtAt = new Kept<Record<string, string>>("taught-at", {}, () => localStorage);
