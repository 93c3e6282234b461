// What a component fetches when it is drawn: asked for again once the server is back.
import { useEffect, useState } from "preact/hooks";
import { fetched, reasonOf, useConnection } from "./connection.ts";

export interface Fetched<Answer> {
  answer: Answer | null; // null until it is here
  problem: string; // why it is not
}

const asJson = (answer: Response): Promise<unknown> => answer.json();

/** Return what the server answers at `place`, if anywhere; `version` changes when it would answer otherwise. */
export function useFetched<Answer>(place: string | null, version: unknown = 0, read = asJson): Fetched<Answer> {
  const { returns } = useConnection();
  const [found, setFound] = useState<Fetched<Answer> & { place: string | null }>({ place, answer: null, problem: "" });
  useEffect(() => {
    if (place === null) return;
    const gone = new AbortController();
    void fetched(place, { signal: gone.signal })
      .then(async (answer) => setFound({ place, answer: (await read(answer)) as Answer, problem: "" }))
      .catch((error: unknown) => {
        if (!gone.signal.aborted) setFound({ place, answer: null, problem: reasonOf(error) });
      });
    return () => gone.abort();
  }, [place, version, returns]);
  return found.place === place ? found : { answer: null, problem: "" };
}
