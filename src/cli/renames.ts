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
  type RenameKind,
} from "../migrate/index.ts";
import { InvalidInputError } from "../postgres/index.ts";
import { ask, canAsk } from "./confirm.ts";
import type { CommandContext } from "./context.ts";

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

/** Of commands that write or show a plan to be run: they go on only when every rename is decided. */
export interface DecidedRenameOptions {
  readonly rename?: readonly string[];
  /** False for `--no-renames`. */
  readonly renames?: string | false;
}

export function withDecidedRenameOptions(command: Command): Command {
  return withRenameOptions(command).option("--no-renames", "whatever else is gone and new is dropped and created");
}

/** Kinds that hold something which dropping and creating would lose. */
const HOLDS_DATA: ReadonlySet<RenameKind> = new Set<RenameKind>([
  "schema",
  "table",
  "column",
  "type",
  "enum value",
  "sequence",
]);

/**
 * The renames of a plan: never guessed, said by flags or a file, or by a person at the terminal.
 *
 * @throws InvalidInputError when something with data may have been renamed, nobody said so, and nobody can be asked
 */
export async function decideRenames(
  context: CommandContext,
  { rename, renames }: DecidedRenameOptions,
  before: Catalog,
  after: Catalog,
): Promise<readonly Rename[]> {
  const said = await readRenames({
    ...(rename === undefined ? {} : { rename }),
    ...(typeof renames === "string" ? { renames } : {}),
  });
  if (renames === false) return said;
  // A name without a schema is one of public.
  const keyOf = ({ kind, from }: Rename): string => `${kind} ${from.replace(/^public\./, "")}`;
  const known = new Set(said.map(keyOf));
  const open = offeredRenames(before, after, said).candidates.filter(
    (candidate) => HOLDS_DATA.has(candidate.rename.kind) && !known.has(keyOf(candidate.rename)),
  );
  if (open.length === 0) return said;
  if (!canAsk(context)) {
    const lines = open.map((candidate) => `  --rename "${renameText(candidate.rename)}"  (${candidate.reason})`);
    throw new InvalidInputError(`something is gone and something alike is new; was it renamed?\n${lines.join("\n")}`, {
      hint: "give those that are renames; --no-renames: all the others are dropped and created",
    });
  }
  const answered: Rename[] = [];
  for (const candidate of open) {
    const answer = await ask(context, `${renameText(candidate.rename)} (${candidate.reason}): is it a rename? [y/n] `);
    if (/^y(?:es)?$/i.test(answer)) answered.push(candidate.rename);
    else if (!/^no?$/i.test(answer))
      throw new InvalidInputError(`${JSON.stringify(answer)} is neither yes nor no: nothing was done`);
  }
  return [...said, ...answered];
}
