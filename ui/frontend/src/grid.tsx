// A list of images in justified rows, which goes on as it is scrolled, and the hit that is open.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { askedOf, asking, changed, go, showHit } from "./address.ts";
import { focused, useKeepFocus } from "./focus.ts";
import { Keys } from "./keys.tsx";
import { signature } from "./label_sets.ts";
import { useLabels } from "./labels.ts";
import { AHEAD, arrange, arrangeWhole, EMPTY, imagesNear, stepOf, visible } from "./layout.ts";
import { hold, useGoOn, useHolds, useOpenHit } from "./open_hit.ts";
import { usePlaceOf, useWidth, useWindow } from "./scrolling.ts";
import { useSteadyPlace } from "./steady.ts";
import { Selection } from "./selection.tsx";
import { density, select, selected, useKept } from "./stores.ts";
import { Tile, type TileActions } from "./tile.tsx";
import type { Box, Mounted, Picture, Row } from "./types.ts";
import { useRows } from "./paging.ts";
import { Further } from "./further.tsx";
import { isBlank, useWhole } from "./whole.ts";
import { Viewer } from "./viewer.tsx";

/** What Python sends: the first rows of a list, where its further ones are, and what it is for. */
export interface GridData {
  list: string; // which list it is: another one starts at the top
  rows: Row[];
  more: string | null; // the file that has further rows, such as `hits`
  heading: string;
  note: string; // between the heading and the pictures
  query: (Picture & { boxes: Box[] }) | null;
  teach: boolean; // whether images can be labelled
  counted: string; // the labels that the order of the rows counts
  ranks: boolean; // whether the rank stands in place of the score
  asks: boolean; // whether a click asks with an image, rather than opens it
  compact: boolean; // one of several lists on a page
  also: boolean; // whether hits can be added to the query
  ids?: number[]; // the images of the list, where they are known
}

export function Grid({ data }: Mounted<GridData>) {
  const paged = useRows(data);
  const whole = useWhole(data);
  const rows = whole?.rows ?? paged.rows;
  const more = !whole && paged.more;
  const { fetchMore } = paged;
  const further = whole ?? paged;
  const section = useRef<HTMLElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const seen = useWindow(frame);
  const height = rowHeight(useKept(density), width, data.compact);
  const made = useRef(EMPTY);
  const layout = useMemo(
    () => whole ? arrangeWhole(whole.shapes, width, height)
      : (made.current = arrange(made.current, rows, width, height, !data.compact)),
    [whole?.shapes ?? rows, width, height, data.compact],
  );
  const [current, setCurrent] = useState(0);
  const asked = askedOf();
  const picked = useKept(selected);
  const chosen = useMemo(() => new Set(picked), [picked]);
  const { labels, counted, give } = useLabels(data.list.slice(data.list.indexOf("?")));
  const waits = data.teach && signature(counted) !== data.counted;
  const hit = useOpenHit();
  const holds = useHolds(hit, data.list, !data.compact || rows.some((row) => row.id === hit));
  const anchor = useRef(0);
  const opened = useRef(false); // whether the hit that is open was opened here, not by the address or the map
  useSteadyPlace(layout.lines, seen.top, `${width} ${height}`);
  usePlaceOf(data.ids ? null : data.list, layout.height);
  useEffect(() => setCurrent(Math.max(0, placeOf(focused(), rows))), [data.list]);
  useEffect(() => {
    if (more && layout.height - seen.bottom < AHEAD) fetchMore();
  }, [more, layout.height, seen.bottom, fetchMore]);
  const shown = visible(layout.lines, seen, current);
  const [from, end] = imagesNear(layout.lines, seen);
  useEffect(() => whole?.show(from, end), [whole?.show, from, end]);

  const actions = useSteady({
    open(row) {
      if (data.asks) return go(similar(row));
      hold(data.list);
      opened.current = true;
      showHit(row.id);
    },
    choose(row, range) {
      const place = rows.indexOf(row);
      if (range) {
        const [low, high] = [Math.min(anchor.current, place), Math.max(anchor.current, place)];
        void rowsOf(low, high + 1).then((every) => select(every.map(({ id }) => id), true), () => undefined);
      } else {
        select([row.id], !chosen.has(row.id));
        anchor.current = place;
      }
      setCurrent(place);
    },
    label: data.teach ? (row, right) => give([row.id], right) : null,
    similar,
    also: data.also ? alsoAddress : null,
  });

  async function rowsOf(low: number, stop: number): Promise<readonly Row[]> {
    return whole ? whole.rowsOf(low, stop) : rows.slice(low, stop);
  }

  function moveTo(place: number): void {
    const target = Math.max(0, Math.min(rows.length - 1, place));
    setCurrent(target);
    requestAnimationFrame(() => focusTile(frame.current, rows[target]));
  }

  useKeepFocus(section, () => (hit === null ? pictureOf(frame.current, rows[current]) : null));
  useEffect(() => {
    const place = holds ? rows.findIndex((row) => row.id === hit) : -1;
    if (place >= 0) setCurrent(place);
    else if (opened.current && hit === null) moveTo(current); // the list goes on at the hit that was open
    opened.current &&= hit !== null;
  }, [hit, holds]);
  useGoOn(data.counted, frame, () => moveTo(Math.max(0, rows.findIndex((row) => labels[row.id] === undefined))));

  function onKeyDown(event: KeyboardEvent): void {
    const row = rows[current];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = stepOf(event.key, layout.lines, current);
    if (step !== null) moveTo(step);
    else if (isBlank(row)) return;
    else if (event.key === " ") actions.choose(row, event.shiftKey);
    else if (event.key === "f") go(actions.similar(row));
    else if ((event.key === "+" || event.key === "-") && actions.also)
      go(actions.also(row, event.key === "+" ? 1 : -1));
    else if ((event.key === "y" || event.key === "n") && actions.label) {
      actions.label(row, event.key === "y");
      moveTo(current + 1);
    } else return;
    event.preventDefault();
  }

  return (
    <section
      ref={section}
      class={["grid", chosen.size && "selecting", waits && "waits"].filter(Boolean).join(" ")}
      data-list={data.list}
      aria-label={data.heading.split(" · ")[0] || "Images"}
      aria-busy={waits}
    >
      {(data.heading || rows.length > 0) && <Heading data={data} waits={waits} />}
      <div ref={frame} class="frame" style={{ height: `${layout.height}px` }}>
        <ul role="list" onKeyDown={onKeyDown} onFocusIn={(event) => {
          const place = placeOf(event.target as HTMLElement, rows);
          if (place >= 0 && place !== current) setCurrent(place);
        }}>
          {shown.flatMap((line) =>
            line.tiles.map(({ index, left, width: wide }) => {
              const row = rows[index]!;
              return (
                <Tile
                  key={whole ? index : row.id}
                  row={row}
                  asked={asked}
                  rank={index + 1}
                  ranks={data.ranks}
                  place={{ left, top: line.top, width: wide, height: line.height }}
                  actions={actions}
                  current={index === current}
                  chosen={chosen.has(row.id)}
                  label={data.teach ? (labels[row.id] ?? null) : null}
                />
              );
            }),
          )}
        </ul>
        {layout.divider !== null && (
          <p class="divider" style={{ top: `${layout.divider}px` }}>
            <span>Less certain below<span class="why">: chance alone brings some images this close</span></span>
          </p>
        )}
      </div>
      {((more && rows.length > 0) || further.problem) && <Further {...further} />}
      {!data.compact && <Selection rows={rows} rowsOf={rowsOf} teach={data.teach} label={give} />}
      {hit !== null && holds && (
        <Viewer
          rows={rows}
          rowsOf={rowsOf}
          id={hit}
          query={data.query}
          label={data.teach ? (labels[hit] ?? null) : null}
          give={data.teach ? give : null}
          also={actions.also}
        />
      )}
    </section>
  );
}

function Heading({ data, waits }: { data: GridData; waits: boolean }) {
  const height = useKept(density);
  return (
    <header>
      <h2>{data.heading}</h2>
      {waits ? <p class="note" role="status">Ranking by your labels …</p> : data.note && <p class="note">{data.note}</p>}
      {!data.compact && <Keys teach={data.teach} />}
      {!data.compact && <label class="density">
        <span>Size</span>
        <input
          type="range"
          min={90}
          max={360}
          step={10}
          value={height}
          aria-label="Height of the rows"
          onInput={(event) => density.set(Number(event.currentTarget.value))}
        />
      </label>}
    </header>
  );
}

/** Return actions that stay the same object, and do what the last ones do. */
function useSteady(actions: TileActions): TileActions {
  const last = useRef(actions);
  last.current = actions;
  const { label, also } = actions;
  return useMemo(() => ({
    open: (row) => last.current.open(row),
    choose: (row, range) => last.current.choose(row, range),
    label: label && ((row, right) => last.current.label?.(row, right)),
    similar,
    also,
  }), [label === null, also]);
}

/** Return the address that searches with an image. */
export function similar(row: Row): string {
  return asking({
    image: String(row.id), picture: null, text: null, box: null, also: null, unlike: null, also_text: null,
  });
}

/** Return the address that asks with a hit too, or takes that back. */
function alsoAddress(row: Row, sign: 1 | -1): string {
  const lists = ["also", "unlike"] as const;
  const own = sign > 0 ? 0 : 1;
  const changes: Record<string, string | null> = { hit: null };
  lists.forEach((name, place) => {
    const before = new URLSearchParams(location.search).get(name)?.split(",").filter(Boolean) ?? [];
    const without = before.filter((id) => id !== String(row.id));
    const adds = place === own && without.length === before.length;
    changes[name] = (adds ? [...without, row.id] : without).join(",") || null;
  });
  return changed(changes);
}

/** On a narrow screen the rows are lower, so that two pictures or more are side by side. */
function rowHeight(wished: number, width: number, compact: boolean): number {
  if (compact) return width < 600 ? 96 : 120;
  return width > 0 && width < 600 ? Math.min(wished, 150) : wished;
}

/** Return which of the rows an element belongs to, -1 for none. */
function placeOf(element: Element | null, rows: readonly Row[]): number {
  const id = Number(element?.closest<HTMLElement>("li.tile")?.dataset.id);
  return rows.findIndex((row) => row.id === id);
}

function focusTile(frame: HTMLElement | null, row: Row | undefined): void {
  const picture = pictureOf(frame, row);
  picture?.focus({ preventScroll: true });
  picture?.scrollIntoView({ block: "nearest" });
}

function pictureOf(frame: HTMLElement | null, row: Row | undefined): HTMLElement | null | undefined {
  return row && frame?.querySelector<HTMLElement>(`li[data-id="${row.id}"] > .picture`);
}
