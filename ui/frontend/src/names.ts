// Names that are easily taken for each other.

/** Return the one of `names` that differs from `name` only in capitals, accents, spaces or hyphens. */
export function takenFor(name: string, names: readonly string[]): string | undefined {
  return names.includes(name.trim()) ? undefined : names.find((one) => plain(one) === plain(name));
}

function plain(name: string): string {
  return name.normalize("NFKD").replace(/[\p{Mark}\s_-]/gu, "").toLowerCase();
}
