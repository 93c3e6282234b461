// The rows of a list: those that came with the page, and further ones as they are fetched.
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import { beside } from "./address.ts";
import type { GridData } from "./grid.tsx";
import type { Row } from "./types.ts";

const COUNT = 46; // with the fifty that came with the page as many as one search brings
const NONE: Row[] = [];

interface Further {
  list: string;
  rows: Row[];
  more: boolean;
}

interface Rows {
  rows: Row[];
  more: boolean;
  fetchMore(): void;
}

export function useRows({ list, rows: first, more: file, ids }: GridData): Rows {
  const [kept, setKept] = useState<Further>({ list, rows: NONE, more: file !== null });
  const asking = useRef("");
  const asked = useRef({ list, from: first.length }); // images that are gone are no rows, but count
  const further = kept.list === list ? kept : { list, rows: NONE, more: file !== null };
  const rows = useMemo(() => {
    const known = new Set(first.map((row) => row.id));
    return further.rows.length ? [...first, ...further.rows.filter((row) => !known.has(row.id))] : first;
  }, [first, further.rows]);
  const fetchMore = useCallback(() => {
    const from = asked.current.list === list ? asked.current.from : first.length;
    const question = `${list} ${from}`;
    if (!file || asking.current === question) return;
    asking.current = question;
    void (ids ? askFor(file, ids, from) : ask(file, from)).then((found) => {
      if (asking.current !== question) return; // another list is shown by now
      asked.current = { list, from: from + COUNT };
      setKept({ list, rows: [...further.rows, ...found.rows], more: found.more });
    });
  }, [list, file, first, further.rows, ids]);
  return { rows, more: file !== null && further.more, fetchMore };
}

async function ask(file: string, from: number): Promise<{ rows: Row[]; more: boolean }> {
  const answer = await fetch(beside(file, { from, count: COUNT }));
  if (!answer.ok) return { rows: [], more: false };
  const { hits, more } = (await answer.json()) as { hits: Row[]; more: boolean };
  return { rows: hits, more };
}

async function askFor(file: string, ids: readonly number[], from: number): Promise<{ rows: Row[]; more: boolean }> {
  const part = ids.slice(from, from + COUNT).join(",");
  const answer = await fetch(`/page/${file}?ids=${part}`);
  if (!answer.ok) return { rows: [], more: false };
  const { hits } = (await answer.json()) as { hits: Row[] };
  return { rows: hits, more: from + COUNT < ids.length };
}
