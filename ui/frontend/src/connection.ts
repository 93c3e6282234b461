// Whether the server can be reached, as Streamlit knows it; what did not arrive is fetched again later.
import { useEffect, useState } from "preact/hooks";

export interface Connection {
  away: boolean;
  returns: number; // how often the server came back: what failed before is tried again then
}

const STATE = "data-test-connection-state";
const CONNECTED = "CONNECTED";
const listeners = new Set<(now: Connection) => void>();
let known: Connection = { away: false, returns: 0 };
let watching: MutationObserver | null = null;

/** Return whether the server can be reached, and draw the component again when that changes. */
export function useConnection(): Connection {
  const [connection, setConnection] = useState(known);
  useEffect(() => {
    watch();
    setConnection(known);
    listeners.add(setConnection);
    return () => void listeners.delete(setConnection);
  }, []);
  return connection;
}

function watch(): void {
  if (watching) return;
  watching = new MutationObserver(look);
  watching.observe(document.body, { subtree: true, attributeFilter: [STATE] });
}

function look(): void {
  const state = document.querySelector(`[${STATE}]`)?.getAttribute(STATE);
  const away = state !== CONNECTED;
  if (!state || away === known.away) return;
  known = { away, returns: known.returns + (away ? 0 : 1) };
  for (const listener of listeners) listener(known);
  // What was asked meanwhile is in the address: nobody has answered it.
  if (!away) window.dispatchEvent(new PopStateEvent("popstate"));
}

export const NO_ANSWER = "The server does not answer. Is cbir ui still running?";

/** Return the answer of the server; raises an `Error` that says in a sentence why there is none. */
export async function fetched(place: string, options: RequestInit = {}): Promise<Response> {
  const answer = await fetch(place, options).catch((error: unknown) => {
    throw options.signal?.aborted ? error : new Error(NO_ANSWER);
  });
  if (answer.ok) return answer;
  // The API names the kind of an error, and says what it is in `detail`; the routes of the pages say it alone.
  const told = (await answer.json().catch(() => ({}))) as { error?: string; detail?: string };
  throw new Error(told.detail ?? told.error ?? `The server answers with an error (${answer.status}).`);
}

/** Return what an error says. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
