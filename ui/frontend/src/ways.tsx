// Ways to browse a collection: its folders, a timeline of years and months, and its tags.
import { useState } from "preact/hooks";
import { changed, follow } from "./address.ts";
import { useFetched } from "./fetched.ts";
import { lastDay, type Month, yearsOf } from "./timeline.ts";

const MOST_FOLDERS = 300; // in the list at once
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

interface Filters {
  folders: { path: string; text: string; count: number }[];
  tags: Record<string, number>;
}

export function Folders({ version }: { version: number }) {
  const { answer: found, problem } = useFetched<Filters>("/page/filters", version);
  const [text, setText] = useState("");
  const chosen = new URLSearchParams(location.search).get("folder");
  if (!found) return <Waiting problem={problem} />;
  const wanted = text.trim().toLowerCase();
  const folders = found.folders.filter((one) => one.text.toLowerCase().includes(wanted));
  return (
    <div class="way" role="group" aria-label="Folders">
      {found.folders.length > 12 && (
        <input type="search" value={text} placeholder="Part of a folder's name" aria-label="Part of a folder's name" onInput={(event) => setText(event.currentTarget.value)} />
      )}
      <ul class="folders" role="list">
        {folders.slice(0, MOST_FOLDERS).map(({ path, text: name, count }) => {
          const parts = name.split("/").filter(Boolean);
          const isOn = path === chosen;
          return (
            <li style={{ paddingLeft: wanted ? "0" : `${Math.min(6, parts.length - 1) * 1.1}rem` }}>
              <a
                href={changed({ folder: isOn ? null : path, hit: null })}
                onClick={follow}
                title={path}
                aria-current={isOn ? "true" : undefined}
              >
                <span>{wanted ? name : parts[parts.length - 1] ?? name}</span>
                <small>{count.toLocaleString()}</small>
              </a>
            </li>
          );
        })}
      </ul>
      {folders.length > MOST_FOLDERS && (
        <p class="note">{`${(folders.length - MOST_FOLDERS).toLocaleString()} more: type a part of the name.`}</p>
      )}
    </div>
  );
}

export function Dates({ version }: { version: number }) {
  const { answer: found, problem } = useFetched<{ months: Month[]; undated: number }>("/page/months", version);
  const parameters = new URLSearchParams(location.search);
  const [since, until] = [parameters.get("since"), parameters.get("until")];
  if (!found) return <Waiting problem={problem} />;
  const years = yearsOf(found.months);
  if (!years.length) return <p class="way note">No photo here says when it was taken.</p>;
  const open = years.find(({ year }) => since?.startsWith(`${year}-`) && until?.startsWith(`${year}-`));
  const whole = open && since === `${open.year}-01-01` && until === `${open.year}-12-31`;
  return (
    <div class="way" role="group" aria-label="Dates">
      <Bars
        bars={years.map(({ year, count }) => ({
          text: String(year), spoken: String(year), count, since: `${year}-01-01`, until: `${year}-12-31`,
          on: open?.year === year,
        }))}
      />
      {open && (
        <Bars
          bars={open.months.map((count, place) => {
            const month = `${open.year}-${String(place + 1).padStart(2, "0")}`;
            const last = `${month}-${lastDay(open.year, place + 1)}`;
            return {
              text: MONTHS[place]!, spoken: `${MONTHS[place]} ${open.year}`, count, since: `${month}-01`, until: last,
              on: !whole && since === `${month}-01` && until === last,
            };
          })}
        />
      )}
      {found.undated > 0 && <p class="note">{found.undated.toLocaleString()} carry no date.</p>}
    </div>
  );
}

interface Bar {
  text: string;
  spoken: string;
  count: number;
  since: string;
  until: string;
  on: boolean;
}

function Bars({ bars }: { bars: Bar[] }) {
  const most = Math.max(...bars.map(({ count }) => count));
  return (
    <ul class="bars" role="list">
      {bars.map(({ text, spoken, count, since, until, on }) => {
        const height = count ? `${Math.max(4, (100 * count) / most)}%` : "0";
        const inside = (
          <>
            <span class="bar-plate" aria-hidden="true"><span style={{ height }} /></span>
            <span aria-hidden="true">{text}</span>
            <small aria-hidden="true">{count.toLocaleString()}</small>
          </>
        );
        return (
          <li>
            {count || on ? (
              <a
                href={changed({ since: on ? null : since, until: on ? null : until, hit: null })}
                onClick={follow}
                aria-label={`${spoken}, ${count.toLocaleString()} photos`}
                aria-current={on ? "true" : undefined}
              >
                {inside}
              </a>
            ) : (
              <span class="none" aria-hidden="true">{inside}</span>
            )}
          </li>
        );
      })}
    </ul>
  );
}

export function Tags({ version }: { version: number }) {
  const { answer: found, problem } = useFetched<Filters>("/page/filters", version);
  const chosen = new URLSearchParams(location.search).getAll("tags");
  if (!found) return <Waiting problem={problem} />;
  const tags = Object.entries(found.tags);
  if (!tags.length) {
    return <p class="way note">There are no tags yet. Label some hits on the Teach page, and keep them as a tag.</p>;
  }
  return (
    <ul class="way tags" role="list" aria-label="Tags">
      {tags.map(([tag, count]) => {
        const isOn = chosen.includes(tag);
        const tags = isOn ? chosen.filter((one) => one !== tag) : [...chosen, tag];
        return (
          <li>
            <a class="button" href={changed({ tags, hit: null })} onClick={follow} aria-current={isOn ? "true" : undefined}>
              {tag} <small>{count.toLocaleString()}</small>
            </a>
          </li>
        );
      })}
    </ul>
  );
}

function Waiting({ problem }: { problem: string }) {
  return <p class="way note" role={problem ? "alert" : "status"}>{problem || "Loading …"}</p>;
}
