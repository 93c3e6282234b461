// What is known of an image: in words, its file, and what it is a duplicate of.
import { useEffect, useState } from "preact/hooks";
import { fetched, reasonOf } from "./connection.ts";
import { type Fetched, useFetched } from "./fetched.ts";
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

/** Return what is known of an image. */
export function useFacts(id: number): Fetched<ImageFacts> {
  return useFetched<ImageFacts>(beside("facts", { hit: id }));
}

interface Props {
  facts: Fetched<ImageFacts>;
  row: Row;
}

export function Facts({ facts, row }: Props) {
  const { answer, problem } = facts;
  const known = answer?.row.id === row.id ? answer : null;
  return (
    <aside class="facts" aria-label="Facts" aria-busy={known === null && !problem}>
      {problem && <p class="problem" role="alert">{problem}</p>}
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
    try {
      await navigator.clipboard.writeText(path);
      setSaid("Copied.");
    } catch {
      setSaid("This browser does not let pages copy: select the path, and copy it.");
    }
  };
  const open = async () => {
    await fetched(`/page/open?hit=${id}`, { method: "POST" });
    setSaid("The folder is opened.");
  };
  return (
    <section class="file">
      <h3>File</h3>
      <code>{path}</code>
      <button type="button" onClick={() => void copy()}>Copy the path</button>
      {opens && <button type="button" onClick={() => void open().catch((error: unknown) => setSaid(reasonOf(error)))}>Open the folder</button>}
      <span role="status">{said}</span>
    </section>
  );
}
