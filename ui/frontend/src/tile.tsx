// A picture of the grid: click opens it, and on it are what it is and what can be done with it.
import { Component } from "preact";
import { useState } from "preact/hooks";
import { changed, follow } from "./address.ts";
import { Mark } from "./mark.tsx";
import { thumbnail } from "./pictures.ts";
import type { Row } from "./types.ts";

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
  place: { left: number; top: number; width: number; height: number };
  actions: TileActions;
}

const PROVED = "same object";

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

function Shown({ row, rank, place, actions, current, chosen, label }: Props) {
  const [failed, setFailed] = useState(false);
  const names = ["tile", row.t === "weak" && "weak", chosen && "chosen", label === true && "right", label === false && "wrong"];
  return (
    <li
      class={names.filter(Boolean).join(" ")}
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
        href={changed({ hit: String(row.id) })}
        tabIndex={current ? 0 : -1}
        aria-label={spoken(row, rank, label)}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.button !== 0) return;
          event.preventDefault();
          if (event.shiftKey) actions.choose(row, true);
          else actions.open(row);
        }}
      >
        {failed ? (
          <span class="plate">{row.n}: the file is missing or cannot be read</span>
        ) : (
          <img
            src={thumbnail(row, Math.max(place.width, place.height))}
            alt=""
            draggable={false}
            decoding="async"
            onError={() => setFailed(true)}
          />
        )}
        <Mark row={row} cut />
      </a>
      {row.t === PROVED && <span class="proved" title="Proved by geometry: the same object">✓</span>}
      <Caption row={row} />
      <Tools row={row} actions={actions} chosen={chosen} label={label} />
    </li>
  );
}

function spoken(row: Row, rank: number, label: boolean | null): string {
  const parts = [row.s === undefined ? row.n : `Hit ${rank}: ${row.n}, score ${row.s.toFixed(3)}`];
  if (row.t) parts.push(row.t);
  if (row.b) parts.push(`matched box ${row.b.join(",")}`);
  if (label !== null) parts.push(label ? "labelled right" : "labelled wrong");
  return parts.join(", ");
}

function Caption({ row }: { row: Row }) {
  return (
    <div class="caption" aria-hidden="true">
      <span class="name">{row.n}</span>
      {row.a && <span class="said">{row.a}</span>}
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
