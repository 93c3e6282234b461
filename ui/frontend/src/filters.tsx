// Which images may be hits: folder, file name, dates, tags, and a filter in words.
import { changed, go } from "./address.ts";
import { useFetched } from "./fetched.ts";

interface Choices {
  folders: { path: string; text: string; count: number }[];
  tags: Record<string, number>;
  fields: string[];
}

const NOTHING: Choices = { folders: [], tags: {}, fields: [] };

export function Filters() {
  const { answer, problem } = useFetched<Choices>("/page/filters");
  const choices = answer ?? NOTHING;
  const parameters = new URLSearchParams(location.search);
  const put = (changes: Record<string, string | string[] | null>) => go(changed({ ...changes, hit: null }));
  const tags = parameters.getAll("tags");
  return (
    <div class="panel filters" role="group" aria-label="Filters">
      {problem && <p class="problem" role="alert">{problem}</p>}
      <label>
        <span>Folder</span>
        <select value={parameters.get("folder") ?? ""} onChange={(event) => put({ folder: event.currentTarget.value || null })}>
          <option value="">all folders</option>
          {choices.folders.map(({ path, text, count }) => (
            <option value={path} title={path}>{`${text} (${count.toLocaleString()})`}</option>
          ))}
        </select>
      </label>
      <Text name="name" text="File name" hint="part of it, or a pattern like *.png" put={put} />
      <Day name="since" text="Taken from" put={put} />
      <Day name="until" text="until" put={put} />
      {Object.keys(choices.tags).length > 0 && (
        <fieldset>
          <legend>Tags: images that have all of these</legend>
          {Object.entries(choices.tags).map(([tag, count]) => (
            <label class="tag">
              <input
                type="checkbox"
                checked={tags.includes(tag)}
                onChange={(event) => put({ tags: event.currentTarget.checked ? [...tags, tag] : tags.filter((one) => one !== tag) })}
              />
              {tag} <small>{count.toLocaleString()}</small>
            </label>
          ))}
        </fieldset>
      )}
      <Text
        name="where"
        text="Where"
        hint="such as width>2000 and date>=2019-06"
        help={`Comparisons, joined by and, or, not and parentheses. Fields: ${choices.fields.join(", ")}.`}
        put={put}
      />
    </div>
  );
}

type Put = (changes: Record<string, string | null>) => void;

interface TextProps {
  name: string;
  text: string;
  hint: string;
  help?: string;
  put: Put;
}

function Text({ name, text, hint, help, put }: TextProps) {
  const own = new URLSearchParams(location.search).get(name) ?? "";
  return (
    <label class={help ? "wide" : ""}>
      <span>{text}</span>
      <input
        type="text"
        key={own}
        defaultValue={own}
        placeholder={hint}
        onChange={(event) => put({ [name]: event.currentTarget.value.trim() || null })}
      />
      {help && <small>{help}</small>}
    </label>
  );
}

function Day({ name, text, put }: { name: string; text: string; put: Put }) {
  const own = new URLSearchParams(location.search).get(name) ?? "";
  return (
    <label>
      <span>{text}</span>
      <input type="date" min="1826-01-01" key={own} defaultValue={own} onChange={(event) => put({ [name]: event.currentTarget.value || null })} />
    </label>
  );
}
