// A picture of the grid: click opens it, and on it are what it is and what can be done with it.
import { Component } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { changed, follow } from "./address.ts";
import { useConnection } from "./connection.ts";
import { Mark } from "./mark.tsx";
import { thumbnail } from "./pictures.ts";
import type { Row } from "./types.ts";
import { isBlank } from "./whole.ts";

export interface TileState {
  current: boolean; // has the keyboard
  chosen: boolean;
  label: boolean | null;
}

export interface TileActions {
  open(row: Row): void;
  choose(row: Row, range: boolean): void;
  label: ((row: Row, right: boolean) => void) | null;
  similar(row: Row): string; // an address
  also: ((row: Row, sign: 1 | -1) => string) | null;
}

interface Props extends TileState {
  row: Row;
  asked: string; // the address, which the links of the tile are made of
  rank: number;
  ranks: boolean; // whether it is shown
  place: { left: number; top: number; width: number; height: number };
  actions: TileActions;
}

const SLIM = 92; // px, below which two buttons are not beside each other
const PROVED = "same object";

const LONG_MS = 450;

/** Return what an element needs so that a finger that stays on it does something. */
function useLongPress(act: () => void) {
  const timer = useRef(0);
  const pressed = useRef(false);
  const stop = () => clearTimeout(timer.current);
  return {
    /** Whether the click that comes now is the end of a long press. */
    ends: () => {
      const before = pressed.current;
      pressed.current = false;
      return before;
    },
    events: {
      onPointerDown: (event: PointerEvent) => {
        stop();
        pressed.current = false;
        if (event.pointerType !== "touch") return;
        timer.current = window.setTimeout(() => {
          pressed.current = true;
          act();
        }, LONG_MS);
      },
      onPointerUp: stop,
      onPointerCancel: stop,
      onContextMenu: (event: MouseEvent) => pressed.current && event.preventDefault(),
    },
  };
}

/** A picture of a list, which is drawn again only where something of it has changed. */
export class Tile extends Component<Props> {
  override shouldComponentUpdate({ place, ...next }: Props): boolean {
    const { place: before, ...props } = this.props;
    return differ(place, before) || differ(next, props);
  }

  render() {
    return <Shown {...this.props} />;
  }
}

function differ<Fields extends object>(next: Fields, before: Fields): boolean {
  return (Object.keys(next) as (keyof Fields)[]).some((name) => next[name] !== before[name]);
}

function Shown({ row, rank, ranks, place, actions, current, chosen, label }: Props) {
  const [failed, setFailed] = useState(false);
  const { away, returns } = useConnection();
  useEffect(() => setFailed(false), [row.id, row.v, returns]);
  const waits = isBlank(row);
  const long = useLongPress(() => waits || actions.choose(row, false));
  const states = {
    weak: row.t === "weak", chosen, right: label === true, wrong: label === false,
    slim: place.width < SLIM,
  };
  const names = ["tile", ...Object.entries(states).filter(([, on]) => on).map(([name]) => name)];
  return (
    <li
      class={names.join(" ")}
      style={{
        left: `${place.left}px`,
        top: `${place.top}px`,
        width: `${place.width}px`,
        height: `${place.height}px`,
      }}
      data-id={row.id}
    >
      <a
        class="picture"
        href={waits ? undefined : changed({ hit: String(row.id) })}
        role={waits ? "link" : undefined}
        aria-disabled={waits ? "true" : undefined}
        tabIndex={current ? 0 : -1}
        aria-label={waits ? `Image ${rank.toLocaleString()}, loading` : spoken(row, rank, ranks, label)}
        {...long.events}
        onClick={(event) => {
          if (long.ends()) return event.preventDefault();
          if (event.metaKey || event.ctrlKey || event.button !== 0) return;
          event.preventDefault();
          if (waits) return;
          if (event.shiftKey) actions.choose(row, true);
          else actions.open(row);
        }}
      >
        {waits ? null : failed ? (
          <span class="plate">{row.n}: {away ? "the server does not answer" : "the file is missing or cannot be read"}</span>
        ) : (
          <img
            key={`${row.id} ${row.v}`}
            src={thumbnail(row, Math.max(place.width, place.height))}
            alt=""
            draggable={false}
            decoding="async"
            onError={() => setFailed(true)}
          />
        )}
        {!waits && <Mark row={row} cut />}
      </a>
      {row.t === PROVED && <span class="proved" title="Proved by geometry: the same object">✓</span>}
      {ranks && <span class="rank" aria-hidden="true">{rank}</span>}
      {!waits && <Caption row={row} rank={ranks ? rank : null} />}
      {!waits && <Tools row={row} actions={actions} chosen={chosen} label={label} />}
    </li>
  );
}

function spoken(row: Row, rank: number, ranks: boolean, label: boolean | null): string {
  const parts = [ranks || row.s !== undefined ? `Hit ${rank}: ${row.n}` : row.n];
  if (row.s !== undefined) parts.push(`score ${row.s.toFixed(3)}`);
  if (row.t) parts.push(row.t);
  if (row.b) parts.push(`matched box ${row.b.join(",")}`);
  if (label !== null) parts.push(label ? "labelled right" : "labelled wrong");
  return parts.join(", ");
}

function Caption({ row, rank }: { row: Row; rank: number | null }) {
  return (
    <div class="caption" aria-hidden="true">
      <span class="name">{row.n}</span>
      {row.a && <span class="said">{row.a}</span>}
      {rank !== null && <span class="score">rank {rank}</span>}
      {row.s !== undefined && <span class="score">{row.s.toFixed(2)}</span>}
    </div>
  );
}

type ToolsProps = Pick<Props, "row" | "actions" | "chosen" | "label">;

function Tools({ row, actions, chosen, label }: ToolsProps) {
  return (
    <>
      <button
        type="button"
        class="choose"
        role="checkbox"
        aria-checked={chosen}
        aria-label={`Select ${row.n}`}
        tabIndex={-1}
        onClick={(event) => actions.choose(row, event.shiftKey)}
      >
        {chosen ? "✓" : ""}
      </button>
      {actions.label ? (
        <Labels row={row} label={label} give={actions.label} />
      ) : (
        <Links row={row} actions={actions} />
      )}
    </>
  );
}

interface LabelsProps {
  row: Row;
  label: boolean | null;
  give(row: Row, right: boolean): void;
}

function Labels({ row, label, give }: LabelsProps) {
  return (
    <div class="labels">
      {[true, false].map((right) => (
        <button
          type="button"
          class={right ? "yes" : "no"}
          aria-pressed={label === right}
          aria-label={right ? `Yes, ${row.n} is right` : `No, ${row.n} is wrong`}
          title={right ? "Right (Y)" : "Wrong (N)"}
          tabIndex={-1}
          onClick={() => give(row, right)}
        >
          {right ? "Yes" : "No"}
        </button>
      ))}
    </div>
  );
}

function Links({ row, actions }: { row: Row; actions: TileActions }) {
  return (
    <div class="links">
      {actions.also && (
        <>
          <a href={actions.also(row, 1)} onClick={follow} tabIndex={-1} title="Find what is like this, too (+)" aria-label={`Also like ${row.n}`}>+</a>
          <a href={actions.also(row, -1)} onClick={follow} tabIndex={-1} title="Find what is unlike this (−)" aria-label={`Unlike ${row.n}`}>−</a>
        </>
      )}
      <a href={actions.similar(row)} onClick={follow} tabIndex={-1} title="Find similar (F)" aria-label={`Find images similar to ${row.n}`}>Similar</a>
    </div>
  );
}
