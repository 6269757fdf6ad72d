// `-- pgsteward:ignore rule reason` on a statement: before it, in it, or at the end of its last line.
import type { ScriptStatement } from "./sql-script.ts";

export interface Ignore {
  readonly rules: readonly string[];
  readonly reason: string;
  /** Of the comment, in UTF-16 units. */
  readonly offset: number;
  /** `undefined` when no statement follows. */
  readonly statement: ScriptStatement | undefined;
  readonly used: Set<string>;
}

const MARK = /--[ \t]*pgsteward:ignore\b[ \t]*([\w,-]*)[ \t]*([^\n]*)/g;

/** Ignores of a file. A mark in a string is taken for one too; it is then reported as unused. */
export function ignoresOf(text: string, statements: readonly ScriptStatement[]): readonly Ignore[] {
  if (!text.includes("pgsteward:ignore")) return [];
  return [...text.matchAll(MARK)].map((mark) => {
    const lineStart = text.lastIndexOf("\n", mark.index) + 1;
    const statement = statements.find(({ offset, text: sql }) => {
      const end = offset + sql.length;
      if (end <= mark.index) return end > lineStart; // it ends on the comment's line
      return true;
    });
    return {
      rules: (mark[1] ?? "").split(",").filter((rule) => rule !== ""),
      reason: (mark[2] ?? "").replace(/^[:—–-]\s*/, "").trim(),
      offset: mark.index,
      statement,
      used: new Set(),
    };
  });
}
