// The points that geometry proved to be the same, as lines between the query and the match.
import { useEffect, useState } from "preact/hooks";
import { beside } from "./address.ts";
import { fetched, reasonOf, useConnection } from "./connection.ts";
import { fit, onScreen, type Size } from "./fit.ts";
import type { View } from "./panzoom.ts";
import type { Picture, Point, Row } from "./types.ts";

export interface Found {
  id: number;
  mark: Pick<Row, "b" | "q">;
  matches: [number, number, number, number][]; // x, y in the query and in the match, in shares
  problem: string;
}

/** Return where the query is in an image, and by which points; null until it is known. */
export function useMatches(id: number | null): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  const { returns } = useConnection();
  useEffect(() => {
    if (id === null) return;
    const gone = new AbortController();
    void look(id, gone.signal).then(setFound, () => undefined);
    return () => gone.abort();
  }, [id, returns]);
  return found?.id === id ? found : null;
}

async function look(id: number, signal: AbortSignal): Promise<Found> {
  try {
    const told = await (await fetched(beside("located", { hit: id, what: "matches.json" }), { signal })).json();
    const mark = told.quad ? { q: told.quad.flat() } : { b: told.box ?? undefined };
    return { id, mark, matches: told.matches, problem: "" };
  } catch (error) {
    if (signal.aborted) throw error;
    return { id, mark: {}, matches: [], problem: reasonOf(error) };
  }
}

interface Props {
  frame: { current: HTMLDivElement | null };
  place: Size; // of each of the two panes
  query: Picture;
  row: Row;
  view: View;
  found: Found | null;
}

export function Lines({ frame, place, query, row, view, found }: Props) {
  if (!found) return <span class="progress" role="status">Comparing points …</span>;
  if (!found.matches.length) {
    return <p class="progress" role="status">{found.problem || "No points were proved to be the same."}</p>;
  }
  const [first, second] = placesOf(frame.current);
  const from = fit({ width: query.w, height: query.h }, place);
  const to = fit({ width: row.w, height: row.h }, place);
  const ends = found.matches.map(([qx, qy, hx, hy]): [Point, Point] => [
    add(onScreen([qx, qy], from, place, view), first),
    add(onScreen([hx, hy], to, place, view), second),
  ]);
  return (
    <>
      <svg class="matches" aria-hidden="true">
        {ends.map(([[ax, ay], [bx, by]]) => (
          <g>
            <line x1={ax} y1={ay} x2={bx} y2={by} />
            <circle cx={ax} cy={ay} r="3" />
            <circle cx={bx} cy={by} r="3" />
          </g>
        ))}
      </svg>
      <p class="progress done" role="status">{`${found.matches.length} points are the same`}</p>
    </>
  );
}

/** Return where the two panes begin in the frame around them. */
function placesOf(frame: HTMLElement | null): [Point, Point] {
  const panes = [...(frame?.querySelectorAll<HTMLElement>(".pane") ?? [])];
  const [first, second] = panes.map((pane): Point => [pane.offsetLeft, pane.offsetTop]);
  return [first ?? [0, 0], second ?? [0, 0]];
}

function add([ax, ay]: Point, [bx, by]: Point): Point {
  return [ax + bx, ay + by];
}
