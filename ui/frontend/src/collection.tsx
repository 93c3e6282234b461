// The head of the collection: its numbers, its parts, and ways to browse it that set the filters.
import { useEffect, useRef, useState } from "preact/hooks";
import { changed, follow, VIEW } from "./address.ts";
import { useKeepFocus } from "./focus.ts";
import { useJobs } from "./joblist.ts";
import type { Mounted } from "./types.ts";
import { Dates, Folders, Tags } from "./ways.tsx";

export interface CollectionData {
  view: "photos" | "map" | "files" | "jobs";
  facts: string[]; // counts, dates and cameras
  problems: number; // files that failed, or that something is wrong with
  version: number; // changes when the collection does
  ended: number; // jobs, when the page was drawn
}

const VIEWS = { photos: "Photos", map: "Map", files: "Files", jobs: "Jobs" };
const WAYS = { folder: "Folders", date: "Dates", tag: "Tags" };
type Way = keyof typeof WAYS;

export function Collection({ data, setTriggerValue }: Mounted<CollectionData>) {
  const header = useRef<HTMLElement>(null);
  useKeepFocus(header);
  const { jobs, ended } = useJobs();
  useEffect(() => {
    if (ended !== null && ended > data.ended) setTriggerValue("ended", ended);
  }, [ended, data.ended]);
  const running = jobs.filter(({ state }) => state === "running");
  const browses = data.view === "photos" || data.view === "map";
  return (
    <header ref={header} class="collection">
      <div class="top">
        <nav aria-label="Parts of the collection">
          {Object.entries(VIEWS).map(([view, title]) => (
            <a
              href={changed({ [VIEW]: view === "photos" ? null : view, hit: null })}
              onClick={follow}
              aria-current={view === data.view ? "true" : undefined}
            >
              {title}
              {view === "files" && data.problems > 0 && <Count of={data.problems} what="files with problems" />}
              {view === "jobs" && running.length > 0 && <Count of={running.length} what="running" />}
            </a>
          ))}
        </nav>
        <p class="numbers">{data.facts.join(" · ")}</p>
      </div>
      {data.view !== "jobs" && running.map((job) => (
        <p class="busy" role="status">
          {job.title}: {job.step} {job.total ? `${Math.floor((100 * (job.done ?? 0)) / job.total)} %` : "…"}
        </p>
      ))}
      {browses && <Ways version={data.version} />}
    </header>
  );
}

function Count({ of, what }: { of: number; what: string }) {
  return <span class="badge">{of.toLocaleString()}<span class="spoken"> {what}</span></span>;
}

function Ways({ version }: { version: number }) {
  const [open, setOpen] = useState<Way | null>(null);
  const parameters = new URLSearchParams(location.search);
  const used: Record<Way, boolean> = {
    folder: parameters.has("folder"),
    date: parameters.has("since") || parameters.has("until"),
    tag: parameters.has("tags"),
  };
  const filtered = used.folder || used.date || used.tag;
  return (
    <div class="ways" onKeyDown={(event) => event.key === "Escape" && setOpen(null)}>
      <div class="row" role="group" aria-label="Browse by">
        <a
          class="button"
          href={changed({ folder: null, since: null, until: null, tags: null, hit: null })}
          onClick={follow}
          aria-current={filtered ? undefined : "true"}
        >
          All
        </a>
        {Object.entries(WAYS).map(([way, title]) => (
          <button
            type="button"
            class={used[way as Way] ? "used" : ""}
            aria-expanded={open === way}
            onClick={() => setOpen(open === way ? null : (way as Way))}
          >
            {title} <span aria-hidden="true">{open === way ? "▴" : "▾"}</span>
          </button>
        ))}
      </div>
      {open === "folder" && <Folders version={version} />}
      {open === "date" && <Dates version={version} />}
      {open === "tag" && <Tags version={version} />}
    </div>
  );
}
