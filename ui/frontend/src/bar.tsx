// The bar above every page: where to go, what is asked, how, among which images, and the last ones.
import { useEffect, useRef, useState } from "preact/hooks";
import { asking, askedOf, changed, follow, go, VIEW, withHits } from "./address.ts";
import { useConnection } from "./connection.ts";
import { Drawing } from "./drawing.tsx";
import { Filters } from "./filters.tsx";
import { useKeepFocus } from "./focus.ts";
import { Options } from "./options.tsx";
import { forgetStep, noteStep, type Step, trail, useKept } from "./stores.ts";
import { Mark } from "./mark.tsx";
import type { Box, Mounted, Picture } from "./types.ts";
import { useUpload } from "./upload.ts";

/** What Python says of what is asked, and of what can be asked of the store. */
export interface BarData {
  page: string;
  pages: { path: string; title: string }[];
  searches: boolean; // whether the page has hits of the query
  picture: Picture | null;
  boxes: Box[];
  text: string;
  words: boolean; // whether the store can be asked in words
  regions: boolean; // whether it has regions
  search: "image" | "region";
  options: OptionValues;
  chips: { text: string; href: string }[];
  problems: string[];
}

export interface OptionValues {
  feature: "conv" | "fc" | "both";
  turns: boolean;
  verify: boolean;
  rerank: boolean;
  also_text: string;
}

type Panel = "filters" | "options" | null;

export function Bar({ data }: Mounted<BarData>) {
  const [panel, setPanel] = useState<Panel>(null);
  const [drawing, setDrawing] = useState(false);
  const upload = useUpload();
  const { away } = useConnection();
  const header = useRef<HTMLElement>(null);
  useKeepFocus(header);
  const turn = (wanted: Panel) => setPanel(panel === wanted ? null : wanted);
  useEffect(() => setDrawing(false), [data.picture?.src]);
  useTrail(data);
  const problems = [...(upload.problem ? [upload.problem] : []), ...data.problems];
  return (
    <header
      ref={header}
      class={upload.over ? "bar over" : "bar"}
      onKeyDown={(event) => event.key === "Escape" && !drawing && setPanel(null)}
    >
      <Pages data={data} />
      {data.searches && (
        <div class="ask" role="search">
          <Source data={data} upload={upload} draw={() => setDrawing(true)} />
          {data.regions && !data.text && <Mode search={data.search} />}
          <button type="button" aria-expanded={panel === "filters"} onClick={() => turn("filters")}>Filters</button>
          {data.picture && (
            <button type="button" aria-expanded={panel === "options"} onClick={() => turn("options")}>Options</button>
          )}
        </div>
      )}
      {data.searches && panel === "filters" && <Filters />}
      {data.searches && panel === "options" && data.picture && <Options data={data} />}
      {data.searches && <Chips chips={data.chips} />}
      {data.searches && <Trail />}
      {away && <p class="problem" role="alert">{AWAY}</p>}
      {problems.map((problem) => <p class="problem" role="alert">{problem}</p>)}
      {upload.note && <p class="busy" role="status">{upload.note}</p>}
      {upload.busy && <p class="busy" role="status">{upload.busy}</p>}
      {drawing && data.picture && (
        <Drawing picture={data.picture} boxes={data.boxes} regions={data.regions} close={() => setDrawing(false)} />
      )}
    </header>
  );
}

const AWAY =
  "The page has lost its server. If it was stopped, start it again in a terminal with: cbir ui. The page goes on once it is back.";

function Pages({ data }: { data: BarData }) {
  const addressOf = (path: string) => {
    const asked = changed({ [VIEW]: null, hit: null }).slice(1);
    return `/${path}${asked ? `?${asked}` : ""}`;
  };
  return (
    <nav aria-label="Pages">
      {data.pages.map(({ path, title }) => (
        <a
          href={addressOf(path)}
          aria-current={path === data.page ? "page" : undefined}
          onClick={(event) => {
            event.currentTarget.href = addressOf(path); // something may have been asked since it was drawn
            follow(event);
          }}
        >
          {title}
        </a>
      ))}
    </nav>
  );
}

interface SourceProps {
  data: BarData;
  upload: ReturnType<typeof useUpload>;
  draw(): void;
}

function Source({ data, upload, draw }: SourceProps) {
  const { picture } = data;
  return (
    <div class="source">
      {picture && (
        <button type="button" class="query" onClick={draw} title="Draw boxes on the picture" aria-label={`Query: ${picture.name}. Open it to draw boxes`}>
          <span class="thumb" style={{ aspectRatio: `${picture.w} / ${picture.h}` }}>
            <img src={picture.small} alt="" />
            {data.boxes.map((box) => <Mark row={{ id: 0, v: "", n: "", w: picture.w, h: picture.h, b: box }} />)}
          </span>
        </button>
      )}
      <Pick upload={upload} small={picture !== null} />
      {picture ? (
        <>
          <span class="name" title={picture.name}>{picture.name}</span>
          <button type="button" class="draw" onClick={draw}>Draw a box</button>
        </>
      ) : (
        <Word data={data} />
      )}
      {(picture || data.text) && (
        <a class="clear" href={changed(EMPTY)} onClick={follow} aria-label="Clear the query" title="Clear the query">✕</a>
      )}
    </div>
  );
}

const EMPTY = { image: null, picture: null, text: null, box: null, also: null, unlike: null, also_text: null, hit: null };

function Pick({ upload, small }: { upload: ReturnType<typeof useUpload>; small: boolean }) {
  const files = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={files}
        class="files"
        type="file"
        accept="image/*,.heic,.tif,.tiff,.dng"
        aria-label="Query picture"
        tabIndex={-1}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          if (file) upload.send(file);
        }}
      />
      <button type="button" class={small ? "pick" : "pick main"} onClick={() => files.current?.click()}>
        {small ? "Another picture" : "Pick a picture"}
      </button>
    </>
  );
}

function Word({ data }: { data: BarData }) {
  const [typed, setTyped] = useState(data.text);
  useEffect(() => setTyped(data.text), [data.text]);
  if (!data.words) return <span class="hint">or drop one anywhere, or paste it</span>;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        go(asking({ ...EMPTY, text: typed.trim() || null }));
      }}
    >
      <input
        type="search"
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
        placeholder="drop or paste one, or type a word, such as espresso"
        aria-label="A word to search by: one of 1,000 names that the network knows"
      />
    </form>
  );
}

function Mode({ search }: { search: "image" | "region" }) {
  const modes = [["image", "Whole"], ["region", "Regions"]] as const;
  return (
    <div class="mode" role="group" aria-label="Compare with">
      {modes.map(([name, text]) => (
        <button type="button" aria-pressed={search === name} onClick={() => go(changed({ search: name, hit: null }))}>
          {text}
        </button>
      ))}
    </div>
  );
}

function Chips({ chips }: { chips: BarData["chips"] }) {
  if (!chips.length) return null;
  const view = new URLSearchParams(location.search).get(VIEW);
  return (
    <ul class="chips" role="list" aria-label="What restricts the hits, and what is asked beside">
      {chips.map(({ text, href }) => (
        <li>
          <a href={changed({ [VIEW]: view }, href)} onClick={follow} title={`Remove: ${text}`} aria-label={`Remove: ${text}`}>{text} ✕</a>
        </li>
      ))}
    </ul>
  );
}

// --- the trail -----------------------------------------------------------------------------------

function useTrail(data: BarData): void {
  const step = data.searches ? stepOf(data) : null;
  const asked = step?.href;
  useEffect(() => {
    if (step) noteStep(step);
  }, [asked]);
}

function stepOf({ picture, text, boxes }: BarData): Step | null {
  if (!picture && !text) return null;
  const part = boxes.length ? ", a part of it" : "";
  return { href: `?${askedOf()}`, src: picture?.small ?? "", label: picture ? picture.name + part : text };
}

function Trail() {
  const steps = useKept(trail);
  const here = `?${askedOf()}`;
  const others = steps.filter(({ href }) => href !== here);
  if (!others.length) return null;
  return (
    <nav class="trail" aria-label="Last queries">
      {others.map(({ href, src, label }) => (
        <a href={withHits(href)} onClick={follow} title={label} aria-label={`Back to the query ${label}`}>
          {src ? <img src={src} alt="" loading="lazy" onError={() => forgetStep(href)} /> : <span>{label}</span>}
        </a>
      ))}
    </nav>
  );
}
