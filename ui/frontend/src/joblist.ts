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

const BUSY_MS = 700;
const IDLE_MS = 8000;
const listeners = new Set<(jobs: Job[]) => void>();
let known: Job[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Return the jobs; `onEnd` is called when one that was seen at work has ended. */
export function useJobs(onEnd?: (names: string[]) => void): Job[] {
  const [jobs, setJobs] = useState(known);
  useEffect(() => {
    let before = known;
    const listen = (now: Job[]) => {
      const ended = now.filter((job) => job.state !== "running" && stateIn(before, job.name) === "running");
      before = now;
      setJobs(now);
      if (ended.length) onEnd?.(ended.map(({ name }) => name));
    };
    listeners.add(listen);
    if (listeners.size === 1) void look();
    return () => {
      listeners.delete(listen);
      if (!listeners.size) clearTimeout(timer);
    };
  }, []);
  return jobs;
}

function stateIn(jobs: readonly Job[], name: string): string | undefined {
  return jobs.find((job) => job.name === name)?.state;
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
    tell(((await answer.json()) as { jobs: Job[] }).jobs);
    plan();
    return "";
  } catch (error) {
    return reasonOf(error);
  }
}

async function look(): Promise<void> {
  const answer = await fetch("/page/jobs").catch(() => null);
  if (answer?.ok) tell(((await answer.json()) as { jobs: Job[] }).jobs);
  plan();
}

function plan(): void {
  clearTimeout(timer);
  const busy = known.some(({ state }) => state === "running");
  if (listeners.size) timer = setTimeout(() => void look(), busy ? BUSY_MS : IDLE_MS);
}

function tell(jobs: Job[]): void {
  known = jobs;
  for (const listener of listeners) listener(jobs);
}
