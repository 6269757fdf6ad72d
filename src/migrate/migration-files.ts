// Numbered migrations: SQL as dbmate writes it, `0007_add_owner_to_agents.sql` with `-- migrate:up` and `-- migrate:down`, and code.
import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { withFileFaults } from "../postgres/file-fault.ts";
import { InvalidInputError } from "../postgres/index.ts";
import { isCodeMigration } from "./code/code-file.ts";
import { parseCodeMigration } from "./code/code-migration.ts";
import type { MigrationCode } from "./code/run-code.ts";
import { byNameWithNumbers, decode, readBytes } from "./sql-files.ts";

export interface MigrationPart {
  /** The part's SQL, with the rest of the file as blanks before it, so positions are the file's. */
  readonly sql: string;
  /** False where the mark says `transaction:false`: each statement runs on its own. */
  readonly isTransactional: boolean;
  /** Of a migration in code: runs instead of `sql`, which only stands for it. */
  readonly code?: MigrationCode | undefined;
}

export interface Migration {
  /** The digits the name begins with, e.g. `0007`. */
  readonly version: string;
  /** The rest of the name, e.g. `add_owner_to_agents`. */
  readonly name: string;
  readonly file: string;
  /** SHA-256 of the file, in hex; line ends do not count. */
  readonly checksum: string;
  readonly text: string;
  readonly up: MigrationPart;
  /** `undefined` when the file does not say how to go back. */
  readonly down: MigrationPart | undefined;
  /** What `-- irreversible: why` in the header says, in code `// irreversible: why`; `undefined` without one. */
  readonly irreversible: string | undefined;
}

/**
 * Reads a folder's migrations in their order: `.sql` files, and numbered `.ts`, `.mts`, `.js` and `.mjs` files. Others, and folders, are
 * passed over. No code runs.
 *
 * @throws InvalidInputError when an SQL file's name has no number, a number is used twice, a file has no `-- migrate:up` or two of one
 *   mark, or code is another tool's or exports no `up`
 */
export function readMigrations(folder: string): readonly Migration[] {
  const names = withFileFaults(`the folder of migrations ${folder}`, () =>
    readdirSync(folder).filter(
      (name) =>
        (name.endsWith(".sql") || isCodeMigration(name)) &&
        // A link to nothing is kept: reading it says so.
        statSync(join(folder, name), { throwIfNoEntry: false })?.isFile() !== false,
    ),
  );
  const migrations = names.sort(byNameWithNumbers).map((file) => {
    const path = resolve(folder, file);
    const text = decode(readBytes(path), file);
    return isCodeMigration(file) ? parseCodeMigration(path, text) : parseMigration(file, text);
  });
  const seen = new Map<bigint, string>();
  for (const { version, file } of migrations) {
    const other = seen.get(BigInt(version));
    if (other !== undefined)
      throw new InvalidInputError(`${other} and ${file} have the same number`, {
        hint: "give one of them the next free number",
      });
    seen.set(BigInt(version), file);
  }
  return migrations;
}

export function parseMigration(file: string, text: string): Migration {
  const [, version, name] = /^(\d+)_(.+)\.sql$/.exec(file) ?? [];
  if (version === undefined || name === undefined) {
    throw new InvalidInputError(`${file} is not named like a migration`, {
      hint: "name it like 0007_add_owner_to_agents.sql",
    });
  }
  const up = part(file, text, "up");
  if (up === undefined)
    throw new InvalidInputError(`${file} has no "-- migrate:up" line`, {
      hint: "write -- migrate:up before the SQL and -- migrate:down before the way back; lint and migrate verify read other tools' files as they are",
    });
  const checksum = createHash("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex");
  const header = text.slice(0, /^--\s*migrate:(?:up|down)\b/m.exec(text)?.index);
  const irreversible = /^--\s*irreversible:[ \t]*(\S.*?)\s*$/m.exec(header)?.[1];
  return { version, name, file, checksum, text, up, down: part(file, text, "down"), irreversible };
}

function part(file: string, text: string, direction: "up" | "down"): MigrationPart | undefined {
  const marks = [...text.matchAll(/^--\s*migrate:(up|down)\b(.*)$/gm)];
  const index = marks.findIndex(([, found]) => found === direction);
  const mark = marks[index];
  const second = marks.findIndex(([, found], place) => found === direction && place > index);
  if (mark === undefined) return undefined;
  if (second !== -1) {
    const line = text.slice(0, marks[second]?.index).split(/\r\n|\n|\r/).length;
    throw new InvalidInputError(`${file}:${line}: there is a second "-- migrate:${direction}" line`, {
      hint: "put all of one direction below one mark, or the rest into a migration of its own",
    });
  }
  const start = mark.index + mark[0].length;
  const sql = text.slice(0, start).replaceAll(/[^\n]/g, " ") + text.slice(start, marks[index + 1]?.index);
  return { sql, isTransactional: !/\btransaction:\s*false\b/.test(mark[2] ?? "") };
}
