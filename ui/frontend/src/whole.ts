// A list that is known as a whole: how large each image of it is drawn, and its rows where they are seen.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { beside } from "./address.ts";
import { fetched, reasonOf, useConnection } from "./connection.ts";
import type { GridData } from "./grid.tsx";
import { shape } from "./justify.ts";
import type { Row } from "./types.ts";

export const WHOLE = "images"; // the file of the lists that can be fetched from anywhere
const PART = 48; // rows
const AT_ONCE = 2; // requests
const MOST_ROWS = 480; // of one request, where many are needed
const THOUSANDTHS = 1000;

export interface Whole {
  rows: readonly Row[]; // those that are not fetched yet are blank
  shapes: readonly number[];
  problem: string;
  again(): void; // what did not arrive
  /** Fetch the rows from `first` to before `end`, if they are not there. */
  show(first: number, end: number): void;
  /** Return these rows, once they are there. */
  rowsOf(first: number, end: number): Promise<readonly Row[]>;
}

/** Return whether a row is not fetched yet. */
export function isBlank(row: Row | undefined): boolean {
  return !row || row.id < 0;
}

class List {
  readonly shapes: readonly number[];
  rows: Row[];
  readonly asked = new Set<number>(); // parts
  running = 0;
  wanted: [number, number] = [0, 0];

  constructor(thousandths: Uint16Array, first: readonly Row[]) {
    this.shapes = Array.from(thousandths, (one) => shape(one, THOUSANDTHS));
    this.rows = Array.from(thousandths, (one, place) => first[place] ?? blank(place, one));
  }

  put(from: number, rows: readonly Row[]): void {
    this.rows = this.rows.slice();
    rows.forEach((row, place) => {
      if (from + place < this.rows.length) this.rows[from + place] = row;
    });
  }

  has(first: number, end: number): boolean {
    return !this.rows.slice(first, end).some(isBlank);
  }
}

function blank(place: number, thousandths: number): Row {
  return { id: -1 - place, v: "", n: "", w: thousandths, h: THOUSANDTHS };
}

/** Return the whole of a list, null as long as it is not known, or where it never is. */
export function useWhole({ list: name, rows: first, more: file, ids }: GridData): Whole | null {
  const can = file === WHOLE && !ids;
  const { returns } = useConnection();
  const [found, setFound] = useState<{ name: string; list: List } | null>(null);
  const [problem, setProblem] = useState("");
  const [, redraw] = useState({});
  useEffect(() => {
    if (!can) return;
    const gone = new AbortController();
    setProblem("");
    void fetched(beside("shapes", {}), { signal: gone.signal })
      .then(async (answer) => setFound({ name, list: new List(await shapesIn(answer), first) }))
      .catch(() => undefined); // the list goes on a part at a time, which says what is wrong
    return () => gone.abort();
  }, [name, can, returns]);
  const list = found?.name === name ? found.list : null;
  const current = useRef<List | null>(null);
  current.current = list;

  const pump = useCallback((of: List) => {
    if (current.current !== of) return;
    const [from, end] = of.wanted;
    for (let part = Math.floor(from / PART); part * PART < end && of.running < AT_ONCE; part++) {
      const at = part * PART;
      if (of.asked.has(part) || of.has(at, Math.min(end, at + PART))) continue;
      of.asked.add(part);
      of.running += 1;
      void ask(at, PART)
        .then((rows) => of.put(at, rows), (error: unknown) => setProblem(reasonOf(error)))
        .then(() => {
          of.running -= 1;
          redraw({});
          pump(of);
        });
    }
  }, []);
  const show = useCallback((from: number, end: number) => {
    if (!list) return;
    list.wanted = [from, Math.min(end, list.rows.length)];
    pump(list);
  }, [list]);
  const rowsOf = useCallback(async (from: number, end: number) => {
    if (!list) return [];
    for (let at = from; at < end; at += MOST_ROWS) {
      const stop = Math.min(end, at + MOST_ROWS);
      if (!list.has(at, stop)) list.put(at, await ask(at, stop - at));
    }
    redraw({});
    return list.rows.slice(from, end);
  }, [list]);
  const again = useCallback(() => {
    setProblem("");
    if (!list) return;
    list.asked.clear();
    pump(list);
  }, [list]);
  const rows = list?.rows;
  return useMemo(
    () => list && rows ? { rows, shapes: list.shapes, problem, again, show, rowsOf } : null,
    [list, rows, problem, again, show, rowsOf],
  );
}

async function shapesIn(answer: Response): Promise<Uint16Array> {
  const bytes = new DataView(await answer.arrayBuffer());
  return Uint16Array.from({ length: bytes.byteLength / 2 }, (_, place) => bytes.getUint16(2 * place, true));
}

async function ask(from: number, count: number): Promise<Row[]> {
  const answer = await fetched(beside(WHOLE, { from, count }));
  return ((await answer.json()) as { hits: Row[] }).hits;
}
