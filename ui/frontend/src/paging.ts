// The rows of a list: those that came with the page, and further ones as they are fetched.
import { useCallback, useRef, useState } from "preact/hooks";
import { beside } from "./address.ts";
import type { GridData } from "./grid.tsx";
import type { Row } from "./types.ts";

const COUNT = 46; // with the fifty that came with the page as many as one search brings

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

export function useRows({ list, rows: first, more: file }: GridData): Rows {
  const [kept, setKept] = useState<Further>({ list, rows: [], more: file !== null });
  const asking = useRef("");
  const further = kept.list === list ? kept : { list, rows: [], more: file !== null };
  const known = new Set(first.map((row) => row.id));
  const rows = further.rows.length
    ? [...first, ...further.rows.filter((row) => !known.has(row.id))]
    : first;
  const fetchMore = useCallback(() => {
    const from = first.length + further.rows.length;
    const question = `${list} ${from}`;
    if (!file || asking.current === question) return;
    asking.current = question;
    void ask(file, from).then((found) => {
      if (asking.current !== question) return; // another list is shown by now
      const all = [...further.rows, ...found.rows];
      setKept({ list, rows: all, more: found.more && found.rows.length > 0 });
    });
  }, [list, file, first, further.rows]);
  return { rows, more: file !== null && further.more, fetchMore };
}

async function ask(file: string, from: number): Promise<{ rows: Row[]; more: boolean }> {
  const answer = await fetch(beside(file, { from, count: COUNT }));
  if (!answer.ok) return { rows: [], more: false };
  const { hits, more } = (await answer.json()) as { hits: Row[]; more: boolean };
  return { rows: hits, more };
}
