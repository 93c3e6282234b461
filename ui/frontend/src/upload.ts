// Pictures from outside: picked, dropped anywhere on the page, or pasted. They stay on the server's
// memory, and become the query.
import { useEffect, useState } from "preact/hooks";
import { asking, go } from "./address.ts";
import { fetched, reasonOf, useConnection } from "./connection.ts";
import { isTyping } from "./focus.ts";

const MOST_BYTES = 40_000_000;
const NO_PICTURE = "There is no picture in what was dropped; drop an image file.";
const A_LINK = "That is a link, not a picture: save the picture, and drop its file, or copy the picture itself and paste it.";
const LINKS = ["text/uri-list", "text/plain"];

export interface Upload {
  busy: string;
  problem: string;
  note: string; // what was done with what was dropped
  over: boolean; // something is dragged over the page
  send(file: File): void;
}

export function useUpload(): Upload {
  const [busy, setBusy] = useState("");
  const [problem, setProblem] = useState("");
  const [note, setNote] = useState("");
  const [over, setOver] = useState(false);

  async function send(file: File, others = 0): Promise<void> {
    setProblem("");
    setNote("");
    if (file.size > MOST_BYTES) {
      const size = (file.size / 1e6).toFixed(0);
      setProblem(`${file.name} has ${size} MB; a query picture may have 40 MB at most. Save it smaller.`);
      return;
    }
    setBusy(`Reading ${file.name} …`);
    try {
      const key = await post(file);
      go(asking({ image: null, text: null, box: null, also: null, unlike: null, also_text: null, picture: key }));
      if (others) setNote(`Only ${file.name} is asked with: a query takes one picture. Index the folder of the others to search all of them.`);
    } catch (error) {
      setProblem(reasonOf(error));
    } finally {
      setBusy("");
    }
  }

  const { returns } = useConnection();
  useEffect(() => {
    const forget = () => {
      setProblem("");
      setNote("");
    };
    forget();
    window.addEventListener("popstate", forget); // what went wrong before is nothing of what is asked now
    return () => window.removeEventListener("popstate", forget);
  }, [returns]);
  useEffect(() => {
    const stop = new AbortController();
    const options = { signal: stop.signal };
    document.addEventListener("paste", (event) => {
      const file = event.clipboardData && pictureIn(event.clipboardData);
      if (file) {
        event.preventDefault();
        void send(named(file));
      } else if (!isTyping(event) && event.clipboardData && isLink(event.clipboardData)) setProblem(A_LINK);
    }, options);
    document.addEventListener("dragover", (event) => {
      if (!event.dataTransfer || !takes(event.dataTransfer)) return;
      event.preventDefault();
      setOver(true);
    }, options);
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) setOver(false);
    }, options);
    document.addEventListener("drop", (event) => {
      if (!event.dataTransfer || !takes(event.dataTransfer)) return;
      event.preventDefault();
      setOver(false);
      const file = pictureIn(event.dataTransfer);
      if (file) void send(file, event.dataTransfer.files.length - 1);
      else setProblem(event.dataTransfer.types.includes("Files") ? NO_PICTURE : A_LINK);
    }, options);
    return () => stop.abort();
  }, []);
  return { busy, problem, note, over, send: (file) => void send(file) };
}

/** Return whether something that is dragged over the page is taken: files, and links to say why not. */
function takes({ types }: DataTransfer): boolean {
  return types.includes("Files") || types.includes(LINKS[0]!);
}

/** Return the first picture of several files, or else the first file, which may be one all the same. */
function pictureIn({ files }: DataTransfer): File | undefined {
  return [...files].find(({ type }) => type.startsWith("image/")) ?? files[0];
}

function isLink(transfer: DataTransfer): boolean {
  return LINKS.some((type) => /^https?:\/\/\S+$/.test(transfer.getData(type).trim()));
}

/** What is pasted is called image.png by browsers: that is no name to remember it by. */
function named(file: File): File {
  return /^image\.\w+$/.test(file.name) ? new File([file], "pasted picture", { type: file.type }) : file;
}

async function post(file: File): Promise<string> {
  const answer = await fetched("/page/queries", {
    method: "POST",
    body: file,
    headers: { "X-Name": encodeURIComponent(file.name) },
  });
  return ((await answer.json()) as { key: string }).key;
}
