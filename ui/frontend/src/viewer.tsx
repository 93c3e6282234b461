// A hit, larger: beside the query, zoomed together with it, with what shows why it was found.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { asking, beside, follow, hideHit, showHit } from "./address.ts";
import { NO_ANSWER, useConnection } from "./connection.ts";
import { Facts, useFacts } from "./facts.tsx";
import { focused, isTyping } from "./focus.ts";
import { Lines, useMatches } from "./lines.tsx";
import { Mark } from "./mark.tsx";
import { type PanZoom, usePanZoom, viewAfter } from "./panzoom.ts";
import { Pane } from "./pane.tsx";
import { large, thumbnail } from "./pictures.ts";
import { select, selected, useKept } from "./stores.ts";
import { useSwipe } from "./swipe.ts";
import type { Size } from "./fit.ts";
import type { Box, Picture, Row } from "./types.ts";
import { isBlank } from "./whole.ts";

export type Query = Picture & { boxes: Box[] };

interface Props {
  rows: readonly Row[];
  rowsOf(first: number, end: number): Promise<readonly Row[]>;
  id: number;
  query: Query | null;
  label: boolean | null;
  give: ((ids: readonly number[], right: boolean) => void) | null;
  also: ((row: Row, sign: 1 | -1) => string) | null;
}

const LAYERS = ["box", "points", "heat", "mask"] as const;
type Layer = (typeof LAYERS)[number];
const NAMES: Record<Layer, string> = {
  box: "Box", points: "Matched points", heat: "Heat map", mask: "Mask",
};
const KEYS: Record<Layer, string> = { box: "b", points: "p", heat: "h", mask: "m" };

export function Viewer(props: Props) {
  const { rows, id, query } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const facts = useFacts(id);
  const place = rows.findIndex((row) => row.id === id);
  const row = rows[place] ?? (facts.answer?.row.id === id ? facts.answer.row : null);
  const pan = usePanZoom(id);
  const [layers, setLayers] = useState<ReadonlySet<Layer>>(new Set(["box"]));
  const step = (by: number) => {
    const target = rows[place + by];
    if (!target) return;
    if (!isBlank(target)) return showHit(target.id);
    void props.rowsOf(place + by, place + by + 1).then(([row]) => row && showHit(row.id), () => undefined);
  };
  const turn = (layer: Layer) => {
    const next = new Set(layers);
    if (!next.delete(layer)) {
      if (layer === "heat") next.delete("mask");
      if (layer === "mask") next.delete("heat");
      next.add(layer);
    }
    setLayers(next);
  };
  useLayoutEffect(() => {
    if (!dialog.current || dialog.current.open) return;
    const before = focused() as HTMLElement | null;
    dialog.current.showModal();
    dialog.current.focus();
    return () => queueMicrotask(() => focused() ?? before?.focus({ preventScroll: true }));
  }, [row !== null]);
  useNeighbours(rows, place);

  function onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
    const view = viewAfter(event.key, pan.view);
    const layer = LAYERS.find((one) => KEYS[one] === event.key.toLowerCase());
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (view) pan.set(view);
    else if (layer && query) turn(layer);
    else if (event.key === "s") select([id], !selected.get().includes(id));
    else if ((event.key === "y" || event.key === "n") && props.give) {
      props.give([id], event.key === "y");
      step(1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  if (!row) return null;
  return (
    <dialog
      ref={dialog}
      class="viewer"
      tabIndex={-1}
      aria-label={`${row.n}, larger`}
      onKeyDown={onKeyDown}
      onCancel={(event) => {
        event.preventDefault();
        hideHit();
      }}
    >
      <header>
        <h2>{row.n}</h2>
        <span class="count" role="status">
          {place >= 0 ? `${(place + 1).toLocaleString()} of ${rows.length.toLocaleString()}` : ""}
          {row.s !== undefined && ` · score ${row.s.toFixed(3)}`}
          {row.t && ` · ${row.t}`}
        </span>
        <button type="button" onClick={() => step(-1)} disabled={place <= 0} aria-label="Previous" title="Previous (←)"><span aria-hidden="true">‹</span></button>
        <button type="button" onClick={() => step(1)} disabled={place < 0 || place >= rows.length - 1} aria-label="Next" title="Next (→)"><span aria-hidden="true">›</span></button>
        <button type="button" class="close" onClick={hideHit} aria-label="Close" title="Close (Esc)">✕</button>
      </header>
      <Pictures row={row} query={query} pan={pan} layers={layers} step={step} />
      <div class="layers" role="group" aria-label="Shown on the pictures">
        {query && LAYERS.map((layer) => (
          <button type="button" aria-pressed={layers.has(layer)} title={`${NAMES[layer]} (${KEYS[layer].toUpperCase()})`} onClick={() => turn(layer)}>
            {NAMES[layer]}
          </button>
        ))}
        <span class="zoom" role="group" aria-label="Zoom">
          <button type="button" onClick={() => pan.zoom(1 / 1.5)} aria-label="Smaller" title="Smaller (−)">−</button>
          <button type="button" onClick={() => pan.zoom(1 / 99)} title="Whole picture (0)">{Math.round(100 * pan.view.scale)} %</button>
          <button type="button" onClick={() => pan.zoom(1.5)} aria-label="Larger" title="Larger (+)">+</button>
        </span>
      </div>
      <Actions {...props} row={row} />
      <Facts facts={facts} row={row} />
    </dialog>
  );
}

interface PicturesProps {
  row: Row;
  query: Query | null;
  pan: PanZoom;
  layers: ReadonlySet<Layer>;
  step(by: number): void;
}

function Pictures({ row, query, pan, layers, step }: PicturesProps) {
  const swipe = useSwipe(pan.view.scale === 1, step);
  const frame = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<Size>({ width: 1, height: 1 });
  const found = useMatches(query && layers.has("points") ? row.id : null);
  const shown = layers.has("box") ? (found?.id === row.id && !row.q && !row.b ? { ...row, ...found.mark } : row) : null;
  return (
    <div class={query ? "pictures two" : "pictures"} ref={frame} {...swipe}>
      {query && (
        <Pane name={`Query: ${query.name}`} src={query.src} size={{ width: query.w, height: query.h }} pan={pan}>
          {layers.has("box") && query.boxes.map((box) => <Mark row={{ id: 0, v: "", n: "", w: query.w, h: query.h, b: box }} />)}
        </Pane>
      )}
      <Pane
        name={`Match: ${row.n}`}
        src={large(row)}
        behind={thumbnail(row, 190)}
        size={{ width: row.w, height: row.h }}
        pan={pan}
        onPlace={setPlace}
      >
        {layers.has("heat") && <Overlay key={`heat-${row.id}`} file="heat.png" id={row.id} name="Heat map" />}
        {layers.has("mask") && <Overlay key={`mask-${row.id}`} file="mask.png" id={row.id} name="Mask" />}
        {shown && <Mark row={shown} />}
      </Pane>
      {query && layers.has("points") && (
        <Lines frame={frame} place={place} query={query} row={row} view={pan.view} found={found} />
      )}
    </div>
  );
}

/** Lay a transparent picture over the match: it is made by the server, which takes a moment. */
function Overlay({ file, id, name }: { file: string; id: number; name: string }) {
  const [state, setState] = useState<"waiting" | "here" | "failed">("waiting");
  const { away, returns } = useConnection();
  useEffect(() => setState((before) => (before === "failed" ? "waiting" : before)), [returns]);
  return (
    <>
      <img
        key={returns}
        class="overlay"
        src={beside("located", { hit: id, what: file })}
        alt={name}
        onLoad={() => setState("here")}
        onError={() => setState("failed")}
      />
      {state !== "here" && (
        <span class="progress" role="status">
          {state === "waiting" ? "Locating the query …" : away ? NO_ANSWER : `There is no ${name.toLowerCase()} of this picture.`}
        </span>
      )}
    </>
  );
}

function Actions({ row, query, label, give, also }: Props & { row: Row }) {
  const chosen = useKept(selected).includes(row.id);
  return (
    <div class="actions">
      <a class="main" href={asking({ ...NOTHING, image: String(row.id) })} onClick={follow}>Find similar</a>
      {row.b && query && (
        <a href={asking({ ...NOTHING, image: String(row.id), box: row.b.join(","), search: "region" })} onClick={follow}>
          Search with the box
        </a>
      )}
      {also && <a href={also(row, 1)} onClick={follow}>Also like this</a>}
      {also && <a href={also(row, -1)} onClick={follow}>Unlike this</a>}
      <button type="button" aria-pressed={chosen} title="Select (S)" onClick={() => select([row.id], !chosen)}>
        {chosen ? "Selected" : "Select"}
      </button>
      {give && [true, false].map((right) => (
        <button type="button" class={right ? "yes" : "no"} aria-pressed={label === right} onClick={() => give([row.id], right)}>
          {right ? "Right (Y)" : "Wrong (N)"}
        </button>
      ))}
    </div>
  );
}

const NOTHING = {
  image: null, picture: null, text: null, box: null, also: null, unlike: null, also_text: null, hit: null,
};

/** Fetch the pictures before and after, so that a step to them shows them at once. */
function useNeighbours(rows: readonly Row[], place: number): void {
  useEffect(() => {
    if (place < 0) return;
    for (const row of [rows[place + 1], rows[place - 1]]) if (row && !isBlank(row)) new Image().src = large(row);
  }, [rows, place]);
}
