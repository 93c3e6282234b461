// What teaches: how many labels there are, ranking by them, naming what they show, and the names.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { follow, openHit } from "./address.ts";
import { fetched, reasonOf } from "./connection.ts";
import { type ConceptRow, Concepts, type Wish } from "./concepts.tsx";
import { isTyping, useKeepFocus } from "./focus.ts";
import { countNew, type Labels, signature } from "./label_sets.ts";
import { type Labelling, useLabels } from "./labels.ts";
import { takenFor } from "./names.ts";
import { useOpenHit } from "./open_hit.ts";
import { taughtAt, useKept } from "./stores.ts";
import type { Mounted } from "./types.ts";

/** What Python says: what is looked for, which labels its ranking counts, and the concepts. */
export interface TeachingData {
  of: string; // what is looked for, as a query string
  query: boolean;
  counted: string;
  after: number; // new labels that rank again
  said: { text: string; bad: boolean } | null;
  saved: string; // the concept that was just taught here
  concepts: ConceptRow[];
  tags: string[]; // of the filter
}

export function Teaching({ data, setTriggerValue }: Mounted<TeachingData>) {
  const section = useRef<HTMLElement>(null);
  useKeepFocus(section);
  const labelling = useLabels(data.of);
  const { labels, counted } = labelling;
  const [busy, setBusy] = useState("");
  const fresh = countNew(labels, counted);
  const ask = (wish: Wish, busyWith: string, given: Labels = labels) => {
    setBusy(busyWith);
    setTriggerValue("asked", { ...wish, of: data.of, labels: given });
  };
  useEffect(() => setBusy(""), [data]);
  useRanking(data, labelling, fresh, () => ask({ do: "rank" }, "", counted));
  useEffect(() => {
    if (data.saved) taughtAt.set({ ...taughtAt.get(), [data.saved]: data.of });
  }, [data.saved, data.of]);
  const isTagged = data.concepts.some(({ name, count }) => name === data.saved && count > 0);
  return (
    <section ref={section} class="teaching" aria-label="Teach">
      <h2>{data.query ? "Teach what you mean" : "Teach a name for what you look for"}</h2>
      <p class="how">{data.query ? howTo(data.after) : START}</p>
      {data.query && (
        <Status labelling={labelling} fresh={fresh}>
          <Naming data={data} save={(name) => ask({ do: "save", name }, "Learning, and tagging the collection …")} />
        </Status>
      )}
      <p class={data.said?.bad ? "problem" : "said"} role={data.said?.bad ? "alert" : "status"} hidden={!busy && !data.said}>
        {busy || data.said?.text}
        {!busy && isTagged && <> <a href={`/collection?${new URLSearchParams({ tags: data.saved })}`} onClick={follow}>Show them</a></>}
      </p>
      <Concepts concepts={data.concepts} open={!data.query} ask={ask} />
    </section>
  );
}

const START =
  "Ask with a picture, or start with one of these. Then say of its hits which show what you mean; what you teach gets a name, and every image that shows it gets that name as a tag.";

function howTo(after: number): ComponentChildren {
  return (
    <>
      Say of each picture whether it shows what you mean: Yes (<kbd>Y</kbd>) or No (<kbd>N</kbd>). Nothing moves until you rank
      again, or after {after} new labels. Then give it a name: every image that shows it gets the name as a tag.
    </>
  );
}

/** Ask Python for the ranking where its own counts other labels; let all count after some new ones. */
function useRanking(data: TeachingData, { counted, rank }: Labelling, fresh: number, ask: () => void): void {
  const hit = useOpenHit();
  const wanted = signature(counted);
  useEffect(() => {
    if (data.query && wanted !== data.counted) ask();
  }, [data.of, data.counted, wanted]);
  useEffect(() => {
    if (data.query && hit === null && fresh >= data.after) rank(); // not behind a hit that is open
  }, [fresh, hit]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "r" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
      if (data.query && openHit() === null) rank();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [data.of, data.query]);
}

interface StatusProps {
  labelling: Labelling;
  fresh: number;
  children: ComponentChildren;
}

function Status({ labelling, fresh, children }: StatusProps) {
  const { labels, rank } = labelling;
  const row = useRef<HTMLDivElement>(null);
  const away = useIsAway(row);
  const given = Object.values(labels);
  const right = given.filter(Boolean).length;
  return (
    <div class="status" ref={row}>
      <p class="counts" role="status">
        <strong class="yes">{right} yes</strong> <strong class="no">{given.length - right} no</strong>
      </p>
      <button type="button" class={fresh ? "rank-again main" : "rank-again"} disabled={!fresh} onClick={rank} title="Rank again (R)">
        Rank again{fresh ? ` · ${fresh} new` : ""}
      </button>
      {children}
      <Files labelling={labelling} />
      {away && fresh > 0 && (
        <button type="button" class="main again" onClick={rank} title="Rank again (R)">Rank again by {given.length} {given.length === 1 ? "label" : "labels"}</button>
      )}
    </div>
  );
}

/** Return whether an element is above what is seen. */
function useIsAway(element: { current: HTMLElement | null }): boolean {
  const [away, setAway] = useState(false);
  useEffect(() => {
    if (!element.current) return;
    const watching = new IntersectionObserver(([entry]) => setAway(entry !== undefined && !entry.isIntersecting));
    watching.observe(element.current);
    return () => watching.disconnect();
  }, []);
  return away;
}

// --- naming it -----------------------------------------------------------------------------------

interface NamingProps {
  data: TeachingData;
  save(name: string): void;
}

function Naming({ data, save }: NamingProps) {
  const known = useKept(taughtAt);
  const own = Object.keys(known).find((name) => known[name] === data.of && data.concepts.some((one) => one.name === name));
  const start = own ?? data.concepts.find(({ name }) => data.tags.includes(name))?.name ?? "";
  const [typed, setTyped] = useState(start);
  useEffect(() => setTyped(start), [start, data.of]);
  const again = data.concepts.some(({ name }) => name === typed.trim());
  const alike = takenFor(typed, data.concepts.map(({ name }) => name));
  return (
    <form
      class="naming"
      onSubmit={(event) => {
        event.preventDefault();
        if (typed.trim()) save(typed.trim());
      }}
    >
      <input
        type="text"
        value={typed}
        maxLength={100}
        placeholder="name it, such as espresso"
        aria-label="Name of what you teach"
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <button type="submit" disabled={!typed.trim()} title="Learns from the query and the labels, and tags the whole collection">
        {again ? "Teach it again" : "Save and tag"}
      </button>
      {alike && <small role="status">There is a name “{alike}” already: this makes another one.</small>}
    </form>
  );
}

// --- labels as a file ----------------------------------------------------------------------------

function Files({ labelling: { labels, add, clear } }: { labelling: Labelling }) {
  const input = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState("");
  const any = Object.keys(labels).length > 0;
  const load = async (file: File) => {
    const answer = await fetched("/page/labels", { method: "POST", body: file });
    const found = await answer.json();
    add(found.labels);
    setSaid(loaded(Object.keys(found.labels).length, found.unknown));
  };
  return (
    <div class="kept" role="group" aria-label="Labels">
      {any && <a href={fileOf(labels)} download="labels.json">Save labels</a>}
      <button type="button" onClick={() => input.current?.click()}>Load labels</button>
      <input
        ref={input}
        class="files"
        type="file"
        accept=".json,application/json"
        aria-label="File of labels"
        tabIndex={-1}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (file) void load(file).catch((error: unknown) => setSaid(`${file.name}: ${reasonOf(error)}`));
        }}
      />
      {any && <button type="button" onClick={clear}>Clear labels</button>}
      <span role="status">{said}</span>
    </div>
  );
}

function fileOf(labels: Labels): string {
  const ids = (right: boolean) => Object.keys(labels).filter((id) => labels[Number(id)] === right).join(",");
  return `/page/labels.json?${new URLSearchParams({ right: ids(true), wrong: ids(false) })}`;
}

function loaded(count: number, unknown: string[]): string {
  const done = count === 1 ? "1 label was loaded." : `${count} labels were loaded.`;
  if (!unknown.length) return done;
  const images = unknown.length === 1 ? "1 image is" : `${unknown.length} images are`;
  return `${done} ${images} not in this collection, such as ${unknown[0]}.`;
}
