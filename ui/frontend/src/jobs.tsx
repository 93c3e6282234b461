// The jobs of the server: what runs, how far it is, how the last ones ended; and adding a folder.
import { useRef, useState } from "preact/hooks";
import { useKeepFocus } from "./focus.ts";
import { type Job, startJob, stopJob, useJobs } from "./joblist.ts";
import type { Mounted } from "./types.ts";

export interface JobsData {
  folders: string[]; // those of the store
}

const WHAT: Record<string, string> = {
  keypoints: "Finds points in every photo, by which matches are proved, so that searches need no photo for it.",
  duplicates: "Compares all photos with each other. The Duplicates page shows what it finds.",
  map: "Lays out all images, those that look alike close together.",
};
const START: Record<string, string> = {
  keypoints: "Find keypoints",
  duplicates: "Search for duplicates",
  map: "Lay out the map",
};

export function Jobs({ data }: Mounted<JobsData>) {
  const section = useRef<HTMLElement>(null);
  useKeepFocus(section);
  const { jobs } = useJobs();
  return (
    <section ref={section} class="jobs" aria-label="Jobs">
      {jobs.map((job) => (
        <article aria-labelledby={`job-${job.name}`}>
          <h2 id={`job-${job.name}`}>{job.title}</h2>
          {job.name === "indexing" ? <Indexing job={job} folders={data.folders} /> : <Other job={job} />}
        </article>
      ))}
    </section>
  );
}

function Indexing({ job, folders }: { job: Job; folders: string[] }) {
  const [folder, setFolder] = useState("");
  const [problem, setProblem] = useState("");
  if (job.state === "running") return <Progress job={job} />;
  const start = async (place: string) => setProblem(await startJob("indexing", place));
  return (
    <>
      <p class="note">Adds a folder of this machine, or brings one up to date. Photos stay as they are.</p>
      <form
        class="adding"
        onSubmit={(event) => {
          event.preventDefault();
          if (folder.trim()) void start(folder);
          else setProblem("Give the full path of a folder, such as /home/me/photos.");
        }}
      >
        <label>
          <span>Folder on this machine</span>
          <input
            type="text"
            value={folder}
            placeholder="/home/me/photos"
            spellcheck={false}
            autocomplete="off"
            aria-invalid={problem !== ""}
            aria-describedby={problem ? "folder-problem" : undefined}
            onInput={(event) => setFolder(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main">Index it</button>
      </form>
      {problem && <p class="problem" id="folder-problem" role="alert">{problem}</p>}
      <ul class="folders" role="list" aria-label="Folders of the collection">
        {folders.map((one) => <li><code>{one}</code></li>)}
      </ul>
      <button type="button" onClick={() => void start("")}>Bring {folders.length === 1 ? "it" : "all"} up to date</button>
      <Outcome job={job} />
    </>
  );
}

function Other({ job }: { job: Job }) {
  const [problem, setProblem] = useState("");
  if (job.state === "running") return <Progress job={job} />;
  return (
    <>
      <p class="note">{WHAT[job.name]}</p>
      <button type="button" onClick={async () => setProblem(await startJob(job.name))}>{START[job.name]}</button>
      {problem && <p class="problem" role="alert">{problem}</p>}
      <Outcome job={job} />
    </>
  );
}

/** How the last job of a kind ended. */
export function Outcome({ job }: { job: Job }) {
  if (job.state === "failed") return <p class="problem" role="alert">{job.said}</p>;
  if (job.state === "stopped" || job.state === "ended") {
    return <p class="outcome" role="status">{job.state === "ended" ? "✓ " : ""}{job.said}</p>;
  }
  return null;
}

/** How far a job is, and a button that stops it. */
export function Progress({ job }: { job: Job }) {
  const [stopping, setStopping] = useState(false);
  const { done = 0, total = 0, step = "" } = job;
  return (
    <div class="running">
      <p>
        {job.of?.length ? <code>{job.of.join(", ")}</code> : null}
        <span role="status">{stopping ? "Stopping …" : step}</span>
        <span class="count">{counted(job)}</span>
      </p>
      <progress
        aria-label={`${job.title}: ${step}`}
        max={total || 1}
        {...(total ? { value: done } : {})}
      />
      <button
        type="button"
        disabled={stopping}
        title={job.on_stop}
        onClick={async () => {
          setStopping(true);
          if (await stopJob(job.name)) setStopping(false);
        }}
      >
        Stop
      </button>
      <small>{job.on_stop}</small>
    </div>
  );
}

function counted({ done = 0, total = 0, failed = 0, left_s }: Job): string {
  if (!total) return "";
  const parts = [`${done.toLocaleString()} of ${total.toLocaleString()}`];
  if (failed) parts.push(`${failed.toLocaleString()} failed`);
  if (typeof left_s === "number") parts.push(`${duration(left_s)} left`);
  return parts.join(" · ");
}

/** Return a time as people say it. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
