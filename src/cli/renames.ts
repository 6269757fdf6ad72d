// Renames that a person says: `--rename "column shop.orders.state -> status"`, as often as needed, or a file of such lines.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { Catalog } from "../catalog/index.ts";
import {
  parseRename,
  readRenameHints,
  renameCandidates,
  renameText,
  type Rename,
  type RenameCandidate,
} from "../migrate/index.ts";
import { InvalidInputError } from "../postgres/index.ts";

export interface RenameOptions {
  readonly rename?: readonly string[];
  readonly renames?: string;
}

export function withRenameOptions(command: Command): Command {
  return command
    .option(
      "--rename <rename>",
      'what has another name now, e.g. "column shop.orders.state -> status"; may be given again',
      (text: string, others: readonly string[] | undefined) => [...(others ?? []), text],
    )
    .option("--renames <file>", "a file with one such rename a line");
}

/** @throws InvalidInputError for a rename that cannot be read, and for a file that is not there */
export async function readRenames({ rename = [], renames }: RenameOptions): Promise<readonly Rename[]> {
  const said = rename.map((text) => parseRename(text));
  if (renames === undefined) return said;
  const path = resolve(renames);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new InvalidInputError(`cannot read the renames in ${path}`, { cause, hint: "give the path of a text file" });
  });
  return [...readRenameHints(text), ...said];
}

/** What may be renamed and was not said to be, with what to say. */
export function offeredRenames(
  before: Catalog,
  after: Catalog,
  said: readonly Rename[],
): { readonly candidates: readonly RenameCandidate[]; readonly notices: readonly string[] } {
  const known = new Set(said.map((rename) => renameText(rename)));
  const candidates = renameCandidates(before, after).filter(({ rename }) => !known.has(renameText(rename)));
  const notices = candidates.map(
    ({ rename, reason }) =>
      `this may be a rename (${reason}); if it is, say --rename ${JSON.stringify(renameText(rename))}`,
  );
  return { candidates, notices };
}
