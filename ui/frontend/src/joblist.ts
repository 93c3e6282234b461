// The jobs of the server, as all components of the page know them: asked for again while any runs.
import { useEffect, useState } from "preact/hooks";
import { fetched, reasonOf } from "./connection.ts";

export interface Job {
  name: string;
  title: string;
  on_stop: string;
  state: "none" | "running" | "ended" | "stopped" | "failed";
  said?: string; // how it ended
  of?: string[]; // folders
  step?: string;
  done?: number;
  total?: number;
  failed?: number;
  left_s?: number | null;
}

export interface Jobs {
  jobs: Job[]; // of each kind, the one that runs or ended last
  ended: number | null; // how many have ended; null until the server has told
}

const BUSY_MS = 700;
const IDLE_MS = 8000;
const listeners = new Set<(now: Jobs) => void>();
let known: Jobs = { jobs: [], ended: null };
let timer: ReturnType<typeof setTimeout> | undefined;

/** Return the jobs as the server told last. */
export function useJobs(): Jobs {
  const [jobs, setJobs] = useState(known);
  useEffect(() => {
    setJobs(known);
    listeners.add(setJobs);
    if (listeners.size === 1) void look();
    return () => {
      listeners.delete(setJobs);
      if (!listeners.size) clearTimeout(timer);
    };
  }, []);
  return jobs;
}

/** Start a job; returns why it cannot be started, empty if it was. */
export function startJob(name: string, folder = ""): Promise<string> {
  return post(`/page/jobs/${name}?${new URLSearchParams({ folder })}`);
}

export function stopJob(name: string): Promise<string> {
  return post(`/page/jobs/${name}/stop`);
}

async function post(place: string): Promise<string> {
  try {
    const answer = await fetched(place, { method: "POST" });
    tell((await answer.json()) as Jobs);
    plan();
    return "";
  } catch (error) {
    return reasonOf(error);
  }
}

async function look(): Promise<void> {
  const answer = await fetch("/page/jobs").catch(() => null);
  if (answer?.ok) tell((await answer.json()) as Jobs);
  plan();
}

function plan(): void {
  clearTimeout(timer);
  const busy = known.jobs.some(({ state }) => state === "running");
  if (listeners.size) timer = setTimeout(() => void look(), busy ? BUSY_MS : IDLE_MS);
}

function tell(jobs: Jobs): void {
  known = jobs;
  for (const listener of listeners) listener(jobs);
}
