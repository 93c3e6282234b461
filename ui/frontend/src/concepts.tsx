// The names that a collection was taught: shown, improved, renamed, removed.
import { useState } from "preact/hooks";
import { follow } from "./address.ts";
import { taughtAt, useKept } from "./stores.ts";

export interface ConceptRow {
  name: string;
  count: number; // images with the tag
  how: string; // how it is known
}

/** What is asked of Python. */
export type Wish =
  | { do: "rank" }
  | { do: "save"; name: string }
  | { do: "rename"; name: string; to: string }
  | { do: "remove"; name: string }
  | { do: "apply" };

type Ask = (wish: Wish, busyWith: string) => void;

interface ConceptsProps {
  concepts: ConceptRow[];
  open: boolean; // at first
  ask: Ask;
}

export function Concepts({ concepts, open, ask }: ConceptsProps) {
  if (!concepts.length) return null;
  return (
    <details class="concepts" open={open}>
      <summary>
        <h3>Names that were taught</h3>
        <span>{concepts.map(({ name }) => name).join(", ")}</span>
      </summary>
      <ul role="list" aria-label="Names that were taught">
        {concepts.map((concept) => <Concept key={concept.name} concept={concept} ask={ask} />)}
      </ul>
      <p class="later">
        Images that were added since have no tags yet.{" "}
        <button type="button" class="link" onClick={() => ask({ do: "apply" }, "Tagging the collection …")}>Tag the collection again</button>
      </p>
    </details>
  );
}

type Doing = "rename" | "remove" | null;

function Concept({ concept, ask }: { concept: ConceptRow; ask: Ask }) {
  const { name, count, how } = concept;
  const [doing, setDoing] = useState<Doing>(null);
  const images = count === 1 ? "1 image" : `${count.toLocaleString()} images`;
  const tags = new URLSearchParams({ tags: name });
  const place = useKept(taughtAt)[name];
  const end = () => setDoing(null);
  return (
    <li aria-label={name} onKeyDown={(event) => event.key === "Escape" && end()}>
      <strong title={how}>{name}</strong>
      {doing === null && (
        <>
          <a href={`/collection?${tags}`} onClick={follow} aria-label={`Show ${images} with the tag ${name}`}>{images}</a>
          <span class="ways">
            <a href={`/teach?${place ?? tags}`} onClick={follow} title="Label more, and teach it again" aria-label={`Improve ${name}`}>Improve</a>
            <button type="button" onClick={() => setDoing("rename")} aria-label={`Rename ${name}`}>Rename</button>
            <button type="button" onClick={() => setDoing("remove")} aria-label={`Remove ${name}`}>Remove</button>
          </span>
        </>
      )}
      {doing === "rename" && (
        <Renaming name={name} end={end} rename={(to) => {
          if (to !== name) moved(name, to);
          ask({ do: "rename", name, to }, "Renaming …");
          end();
        }} />
      )}
      {doing === "remove" && (
        <span class="ways" role="group" aria-label={`Remove ${name}?`}>
          <span>No image will have it as a tag.</span>
          <button type="button" ref={focusOnce} onClick={() => {
            ask({ do: "remove", name }, "Removing …");
            end();
          }}>Remove it</button>
          <button type="button" onClick={end}>Keep it</button>
        </span>
      )}
    </li>
  );
}

interface RenamingProps {
  name: string;
  rename(to: string): void;
  end(): void;
}

function Renaming({ name, rename, end }: RenamingProps) {
  const [typed, setTyped] = useState(name);
  return (
    <form
      class="ways"
      onSubmit={(event) => {
        event.preventDefault();
        rename(typed.trim());
      }}
    >
      <input
        ref={focusOnce}
        type="text"
        value={typed}
        maxLength={100}
        aria-label={`New name of ${name}`}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
      <button type="submit" disabled={!typed.trim()}>Rename it</button>
      <button type="button" onClick={end}>Cancel</button>
    </form>
  );
}

/** Remember under the new name where a concept was taught. */
function moved(name: string, to: string): void {
  const { [name]: place, ...others } = taughtAt.get();
  if (place !== undefined) taughtAt.set({ ...others, [to]: place });
}

function focusOnce(element: HTMLElement | null): void {
  if (element && !element.dataset.focused) {
    element.dataset.focused = "yes";
    element.focus();
  }
}
