// Pictures from outside: picked, dropped anywhere on the page, or pasted. They stay on the server's
// memory, and become the query.
import { useEffect, useState } from "preact/hooks";
import { asking, go } from "./address.ts";

const MOST_BYTES = 40_000_000;
const NO_PICTURE = "There is no picture in what was dropped; drop an image file.";

export interface Upload {
  busy: string;
  problem: string;
  over: boolean; // something is dragged over the page
  send(file: File): void;
}

export function useUpload(): Upload {
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const [over, setOver] = useState(false);

  async function send(file: File): Promise<void> {
    setProblem("");
    if (file.size > MOST_BYTES) {
      const size = (file.size / 1e6).toFixed(0);
      setProblem(`${file.name} has ${size} MB; a query picture may have 40 MB at most. Save it smaller.`);
      return;
    }
    setBusy(`Reading ${file.name} …`);
    try {
      const key = await post(file);
      go(asking({ image: null, text: null, box: null, also: null, unlike: null, also_text: null, picture: key }));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy("");
    }
  }

  useEffect(() => {
    const stop = new AbortController();
    const options = { signal: stop.signal };
    document.addEventListener("paste", (event) => {
      const file = event.clipboardData?.files[0];
      if (file) {
        event.preventDefault();
        void send(named(file));
      }
    }, options);
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    }, options);
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) setOver(false);
    }, options);
    document.addEventListener("drop", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(false);
      const file = event.dataTransfer.files[0];
      if (file) void send(file);
      else setProblem(NO_PICTURE);
    }, options);
    return () => stop.abort();
  }, []);
  return { busy, problem, over, send: (file) => void send(file) };
}

/** What is pasted is called image.png by browsers: that is no name to remember it by. */
function named(file: File): File {
  return /^image\.\w+$/.test(file.name) ? new File([file], "pasted picture", { type: file.type }) : file;
}

async function post(file: File): Promise<string> {
  const answer = await fetch("/page/queries", {
    method: "POST",
    body: file,
    headers: { "X-Name": encodeURIComponent(file.name) },
  });
  const told = (await answer.json()) as { key: string; error: string };
  if (!answer.ok) throw new Error(told.error);
  return told.key;
}
