// What can be done with the images that are selected, in a bar at the lower edge.
import { select, selected, useKept } from "./stores.ts";
import type { Row } from "./types.ts";

interface Props {
  rows: readonly Row[];
  teach: boolean;
  label(ids: readonly number[], right: boolean): void;
}

const MOST_SAVED = 2000; // as many as an address names

export function Selection({ rows, teach, label }: Props) {
  const ids = useKept(selected);
  if (!ids.length) return null;
  const here = rows.map((row) => row.id);
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
        <span>{`Up to ${MOST_SAVED.toLocaleString()} can be saved at once.`}</span>
      ) : (
        <>
          <a href={`/page/zip?ids=${ids.join(",")}`} download="hits.zip">Save as ZIP</a>
          <a href={`/page/hits.csv?ids=${ids.join(",")}`} download="hits.csv">Save the table</a>
        </>
      )}
      <button type="button" onClick={() => select(here, true)}>Select all shown</button>
      <button type="button" onClick={() => selected.set([])}>Clear</button>
    </div>
  );
}
