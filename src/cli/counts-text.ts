// Numbers with their words: how many findings of each severity there are, as the check and the linter say it, and the like.

/** e.g. `1 table`, `3 tables`. */
export function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

/** e.g. `3 errors, 12 warnings, 1 note`. */
export function countsText(counts: Readonly<Record<"error" | "warning" | "info", number>>): string {
  return `${counted(counts.error, "error")}, ${counted(counts.warning, "warning")}, ${counted(counts.info, "note")}`;
}
