// The rows of a list: those that came with the page, and further ones as they are fetched.
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { beside } from "./address.ts";
import { fetched, reasonOf, useConnection } from "./connection.ts";
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
  problem: string; // why further ones did not arrive
  fetchMore(): void;
  again(): void;
}

export function useRows({ list, rows: first, more: file, ids }: GridData): Rows {
  const [kept, setKept] = useState<Further>({ list, rows: NONE, more: file !== null });
  const asking = useRef("");
  const asked = useRef({ list, from: first.length }); // images that are gone are no rows, but count
  const [problem, setProblem] = useState("");
  const { returns } = useConnection();
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
    }, (error: unknown) => asking.current === question && setProblem(reasonOf(error)));
  }, [list, file, first, further.rows, ids]);
  const again = () => {
    asking.current = "";
    setProblem("");
    fetchMore();
  };
  useEffect(() => setProblem(""), [list]);
  useEffect(() => {
    if (problem) again();
  }, [returns]);
  return { rows, more: file !== null && further.more, problem, fetchMore, again };
}

async function ask(file: string, from: number): Promise<{ rows: Row[]; more: boolean }> {
  const answer = await fetched(beside(file, { from, count: COUNT }));
  const { hits, more } = (await answer.json()) as { hits: Row[]; more: boolean };
  return { rows: hits, more };
}

async function askFor(file: string, ids: readonly number[], from: number): Promise<{ rows: Row[]; more: boolean }> {
  const part = ids.slice(from, from + COUNT).join(",");
  const answer = await fetched(`/page/${file}?ids=${part}`);
  const { hits } = (await answer.json()) as { hits: Row[] };
  return { rows: hits, more: from + COUNT < ids.length };
}
