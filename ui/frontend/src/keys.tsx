// The keys that work on a list of images, to be looked up.
import { closeByEscape } from "./focus.ts";

const KEYS = [
  ["arrows, Home, End", "move through the pictures"],
  ["Enter", "open the picture"],
  ["Space", "select it; with Shift, all from the last one selected"],
  ["F", "find similar ones"],
  ["+ −", "ask for what is like it, too, or unlike it"],
] as const;
const TAUGHT = [["Y N", "label it right or wrong"]] as const;

export function Keys({ teach }: { teach: boolean }) {
  return (
    <details class="keys" onKeyDown={closeByEscape}>
      <summary>Keys</summary>
      <dl>
        {[...KEYS, ...(teach ? TAUGHT : [])].map(([key, does]) => (
          <div>
            <dt><kbd>{key}</kbd></dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
