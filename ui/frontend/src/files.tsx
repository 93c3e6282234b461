// Files that are not found, or that something is wrong with: a table to look through, copy and save.
import { useMemo, useState } from "preact/hooks";
import { useFetched } from "./fetched.ts";
import type { Mounted } from "./types.ts";

export interface FilesData {
  version: number; // changes when the collection does
}

interface Problem {
  kind: "failed" | "blank" | "warning";
  path: string;
  reason: string;
}

const KINDS = { failed: "Failed", blank: "Shows nothing", warning: "Warning" };
const DRAWN = 400; // rows; further ones by the button below

export function Files({ data }: Mounted<FilesData>) {
  const { answer, problem } = useFetched<{ files: Problem[] }>("/page/files", data.version);
  const files = answer?.files ?? null;
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [drawn, setDrawn] = useState(DRAWN);
  const found = useMemo(() => filtered(files ?? [], text, kind), [files, text, kind]);
  if (problem) return <p class="problem" role="alert">{problem}</p>;
  if (files === null) return <p class="note" role="status">Loading …</p>;
  if (!files.length) return <p class="note">Every file could be read, and nothing is odd about any.</p>;
  return (
    <section class="files-page" aria-label="Files with problems">
      <div class="tools">
        <label class="find">
          <span>Path or reason</span>
          <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <label>
          <span>Kind</span>
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="">all</option>
            {Object.entries(KINDS).map(([name, title]) => <option value={name}>{title}</option>)}
          </select>
        </label>
        <CopyPaths paths={found.map(({ path }) => path)} />
        <a class="button" href="/page/files.csv" download="files.csv">Save all as CSV</a>
      </div>
      <p class="note" role="status">
        {found.length.toLocaleString()} of {files.length.toLocaleString()} files. Failed ones are tried again
        once they change, or all by <code>cbir index --retry-failed</code>. Warnings stay until the file is read again.
      </p>
      <div class="table" role="region" aria-label="Table of files" tabIndex={0}>
        <table>
          <thead><tr><th scope="col">Kind</th><th scope="col">File</th><th scope="col">Reason</th></tr></thead>
          <tbody>
            {found.slice(0, drawn).map((one) => (
              <tr>
                <td><span class={`kind ${one.kind}`}>{KINDS[one.kind]}</span></td>
                <td><Path path={one.path} /></td>
                <td>{one.reason}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {found.length > drawn && (
        <button type="button" onClick={() => setDrawn(drawn + 5 * DRAWN)}>Show more of {found.length.toLocaleString()}</button>
      )}
    </section>
  );
}

/** A path whose end, which tells files apart, stays whole. */
function Path({ path }: { path: string }) {
  const cut = path.lastIndexOf("/") + 1;
  return <span class="path" title={path}><small>{path.slice(0, cut)}</small><wbr />{path.slice(cut)}</span>;
}

function CopyPaths({ paths }: { paths: string[] }) {
  const [said, setSaid] = useState("");
  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(paths.join("\n"));
      setSaid("Copied");
    } catch {
      setSaid("This browser does not let pages copy: save the table");
    }
  }
  return (
    <button type="button" disabled={!paths.length} onClick={() => void copy()}>
      <span role="status">{said || "Copy the paths"}</span>
    </button>
  );
}

function filtered(files: readonly Problem[], text: string, kind: string): Problem[] {
  const wanted = text.trim().toLowerCase();
  return files.filter(
    (one) =>
      (!kind || one.kind === kind) &&
      (!wanted || one.path.toLowerCase().includes(wanted) || one.reason.toLowerCase().includes(wanted)),
  );
}
