// What is known of an image: in words, its file, and what it is a duplicate of.
import { useEffect, useState } from "preact/hooks";
import { beside, changed, follow } from "./address.ts";
import type { Row } from "./types.ts";

export interface ImageFacts {
  row: Row;
  rows: { name: string; value: string }[];
  own: { name: string; value: string }[]; // fields of the user's own
  path: string;
  opens: boolean; // whether its folder can be opened on the screen of this machine
  duplicates: { id: number; name: string; kind: string }[];
}

/** Return what is known of an image; null until it is fetched. */
export function useFacts(id: number): ImageFacts | null {
  const [facts, setFacts] = useState<ImageFacts | null>(null);
  useEffect(() => {
    const gone = new AbortController();
    void fetch(beside("facts", { hit: id }), { signal: gone.signal })
      .then(async (answer) => setFacts(answer.ok ? await answer.json() : null))
      .catch(() => undefined);
    return () => gone.abort();
  }, [id]);
  return facts;
}

interface Props {
  facts: ImageFacts | null;
  row: Row;
}

export function Facts({ facts, row }: Props) {
  const known = facts?.row.id === row.id ? facts : null;
  return (
    <aside class="facts" aria-label="Facts" aria-busy={known === null}>
      {known && (
        <>
          <dl>
            {[...known.rows, ...known.own].map(({ name, value }) => (
              <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {known.duplicates.length > 0 && <Duplicates of={known.duplicates} />}
          <File path={known.path} id={row.id} opens={known.opens} />
        </>
      )}
    </aside>
  );
}

function Duplicates({ of }: { of: ImageFacts["duplicates"] }) {
  return (
    <section>
      <h3>Also there as</h3>
      <ul role="list">
        {of.map(({ id, name, kind }) => (
          <li>
            <a href={changed({ hit: String(id) })} onClick={follow}>{name}</a> ({kind})
          </li>
        ))}
      </ul>
    </section>
  );
}

function File({ path, id, opens }: { path: string; id: number; opens: boolean }) {
  const [said, setSaid] = useState("");
  useEffect(() => setSaid(""), [id]);
  const copy = async () => {
    await navigator.clipboard.writeText(path);
    setSaid("Copied.");
  };
  const open = async () => {
    const answer = await fetch(`/page/open?hit=${id}`, { method: "POST" });
    setSaid(answer.ok ? "The folder is opened." : (await answer.json()).error);
  };
  return (
    <section class="file">
      <h3>File</h3>
      <code>{path}</code>
      <button type="button" onClick={() => void copy()}>Copy the path</button>
      {opens && <button type="button" onClick={() => void open()}>Open the folder</button>}
      <span role="status">{said}</span>
    </section>
  );
}
