// What can be done with the images that are selected, in a bar at the lower edge.
import { useState } from "preact/hooks";
import { beside } from "./address.ts";
import { fetched, reasonOf } from "./connection.ts";
import { closeByEscape } from "./focus.ts";
import { select, selected, useKept } from "./stores.ts";
import type { Row } from "./types.ts";
import { isBlank } from "./whole.ts";

interface Props {
  rows: readonly Row[];
  rowsOf(first: number, end: number): Promise<readonly Row[]>;
  teach: boolean;
  label(ids: readonly number[], right: boolean): void;
}

const MOST_SAVED = 2000; // as many as an address names
const MOST_AT_ONCE = 500; // photos in a ZIP file, and images of a decision

export function Selection({ rows, rowsOf, teach, label }: Props) {
  const ids = useKept(selected);
  if (!ids.length) return null;
  const isLong = rows.length > MOST_SAVED;
  const selectAll = async () => {
    const every = isLong ? rows : await rowsOf(0, rows.length);
    select(every.filter((row) => !isBlank(row)).map((row) => row.id), true);
  };
  return (
    <div class="selection" role="region" aria-label="Selection">
      <strong role="status">{ids.length === 1 ? "1 selected" : `${ids.length} selected`}</strong>
      {teach && (
        <>
          <button type="button" onClick={() => label(ids, true)}>Label right</button>
          <button type="button" onClick={() => label(ids, false)}>Label wrong</button>
        </>
      )}
      {ids.length > MOST_SAVED ? (
        <span>{`A table takes up to ${MOST_SAVED.toLocaleString()} images, and a ZIP file ${MOST_AT_ONCE}.`}</span>
      ) : (
        <>
          {ids.length > MOST_AT_ONCE ? (
            <span>{`A ZIP file takes up to ${MOST_AT_ONCE} photos.`}</span>
          ) : (
            <SaveZip key={ids.join(",")} ids={ids.join(",")} />
          )}
          <a href={beside("hits.csv", { ids: ids.join(",") })} download="hits.csv">Save the table</a>
        </>
      )}
      {ids.length > 1 && ids.length <= MOST_AT_ONCE && <Decide key={ids.join(",")} ids={ids} rows={rows} />}
      <button type="button" onClick={() => void selectAll().catch(() => undefined)}>Select all shown</button>
      <button type="button" onClick={() => selected.set([])}>Clear</button>
    </div>
  );
}

/** Save the selected photos; the page says why where there can be no file, which a download cannot. */
function SaveZip({ ids }: { ids: string }) {
  const [said, setSaid] = useState("");
  const place = beside("zip", { ids });
  const save = async () => {
    setSaid("");
    await fetched(beside("zip", { ids, check: 1 }));
    const link = document.createElement("a");
    link.href = place;
    link.download = "hits.zip";
    link.click();
  };
  const start = (event: MouseEvent) => {
    event.preventDefault();
    void save().catch((error: unknown) => setSaid(reasonOf(error)));
  };
  return (
    <>
      <a href={place} download="hits.zip" onClick={start}>Save as ZIP</a>
      {said && <span role="alert">{said}</span>}
    </>
  );
}

type Verdict = "original" | "keep" | "forget";

const DECIDED: Record<Verdict, string> = {
  original: "Decided: the others are copies. Nothing is deleted.",
  keep: "Decided: all of them stay, and are not shown as duplicates of each other again.",
  forget: "Nothing is decided about them any more.",
};

/** Decide about the selected images as about a group of duplicates; the one selected first leads. */
function Decide({ ids, rows }: { ids: number[]; rows: readonly Row[] }) {
  const [said, setSaid] = useState("");
  const [first, others] = [rows.find((row) => row.id === ids[0])?.n ?? "The first one", ids.length - 1];
  const decide = async (verdict: Verdict) => {
    await fetched("/v1/duplicates/decisions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ images: ids, verdict }),
    });
    setSaid(DECIDED[verdict]);
  };
  const does = (verdict: Verdict) => () => void decide(verdict).catch((error: unknown) => setSaid(reasonOf(error)));
  return (
    <details class="decide" onKeyDown={closeByEscape}>
      <summary>Duplicates</summary>
      <div role="group" aria-label="Duplicates">
        <button type="button" onClick={does("original")}>
          {first} is the original, and {others === 1 ? "the other one is a copy" : `the other ${others} are copies`}
        </button>
        <button type="button" onClick={does("keep")}>They are no duplicates of each other</button>
        <button type="button" onClick={does("forget")}>Forget what was decided about them</button>
        <p role="status">{said}</p>
      </div>
    </details>
  );
}
