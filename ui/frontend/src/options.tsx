// How the query is compared: what is rarely changed.
import { changed, go } from "./address.ts";
import type { BarData } from "./bar.tsx";

const FEATURES = [
  ["conv", "Appearance (conv)"], ["fc", "Kind of content (fc)"], ["both", "Both"],
] as const;

export function Options({ data }: { data: BarData }) {
  const { options, search, words } = data;
  const byRegion = search === "region";
  return (
    <div class="panel" role="group" aria-label="Options">
      <Choice name="verify" on={options.verify} text="Prove matches"
        hint="Looks for the query's keypoints in the top 200 images: those proved to show the same come first" />
      <Choice name="turns" on={options.turns} text="Turned images too"
        hint="Asks in four rotations, for images that may lie on their side" />
      {byRegion ? (
        <Choice name="rerank" on={options.rerank} text="Re-rank (slower, sharper)"
          hint="Proves matches, and looks for more images that are like the proved ones" />
      ) : (
        <label>
          <span>Features</span>
          <select value={options.feature} onChange={(event) => go(changed({ feature: event.currentTarget.value }))}>
            {FEATURES.map(([value, text]) => <option value={value}>{text}</option>)}
          </select>
        </label>
      )}
      {words && (
        <label>
          <span>And by a word</span>
          <input
            type="text"
            key={options.also_text}
            defaultValue={options.also_text}
            placeholder="such as pillow"
            onChange={(event) => go(changed({ also_text: event.currentTarget.value.trim() || null }))}
          />
        </label>
      )}
    </div>
  );
}

function Choice({ name, on, text, hint }: { name: string; on: boolean; text: string; hint: string }) {
  return (
    <label class="choice" title={hint}>
      <input
        type="checkbox"
        checked={on}
        onChange={(event) => go(changed({ [name]: event.currentTarget.checked ? "yes" : "no", hit: null }))}
      />
      <span>{text}</span>
      <small>{hint}</small>
    </label>
  );
}
