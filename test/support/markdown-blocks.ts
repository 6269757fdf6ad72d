// Code blocks of the documentation, so that tests can compare them with programs or compile them.
import { readFileSync } from "node:fs";

export interface MarkdownBlock {
  /** What the HTML comment in the line before the block says: where it comes from. */
  readonly origin: string | undefined;
  /** e.g. `ts` */
  readonly language: string;
  readonly text: string;
  /** Line of its first character in the page, from 1. */
  readonly line: number;
}

/** @param path - from the root of the checkout, e.g. `docs/guide/sessions.md` */
export function markdownBlocks(path: string): MarkdownBlock[] {
  const page = readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
  const pattern = /(?:^<!-- ([^\n]+) -->\n)?^```(\w+)\n(.*?)^```$/gms;
  return [...page.matchAll(pattern)].map((match) => {
    const [whole, origin, language = "", text = ""] = match;
    const line = page.slice(0, match.index + whole.indexOf("```")).split("\n").length + 1;
    return { origin, language, text, line };
  });
}
