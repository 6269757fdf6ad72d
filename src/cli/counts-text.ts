// How many findings of each severity there are, as the check and the linter say it.

/** e.g. `3 errors, 12 warnings, 1 note`. */
export function countsText(counts: Readonly<Record<"error" | "warning" | "info", number>>): string {
  const some = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;
  return `${some(counts.error, "error")}, ${some(counts.warning, "warning")}, ${some(counts.info, "note")}`;
}
