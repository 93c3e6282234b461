// Photos by year and month.

export interface Month {
  year: number;
  month: number; // 1 to 12
  count: number;
}

export interface Year {
  year: number;
  count: number;
  months: number[]; // 12 counts
}

/** Return the years that have photos, in order. */
export function yearsOf(months: readonly Month[]): Year[] {
  const years = new Map<number, Year>();
  for (const { year, month, count } of months) {
    const found = years.get(year) ?? { year, count: 0, months: Array<number>(12).fill(0) };
    found.count += count;
    found.months[month - 1] = count;
    years.set(year, found);
  }
  return [...years.values()].sort((a, b) => a.year - b.year);
}

/** Return the number of the last day of a month, two digits. */
export function lastDay(year: number, month: number): string {
  return String(new Date(Date.UTC(year, month, 0)).getUTCDate()).padStart(2, "0");
}
