// Reads a SQL file, or a folder of them as migration tools keep it, in the order in which they are meant to run.
import { readFileSync, statSync } from "node:fs";
import { basename, extname, join, relative } from "node:path";
import { InvalidInputError } from "../postgres/errors.ts";
import { withFileFaults } from "../postgres/file-fault.ts";
import type { MigrationCode } from "./code/run-code.ts";
import { isDownFile, undoesAnother, withoutDownPart } from "./adopt/parts.ts";
import { filesBelow } from "./files-below.ts";

export interface SqlFile {
  /** As it is shown in messages: the file's name, or its path inside the folder. */
  readonly name: string;
  /** Only what builds the schema: the part of a migration that undoes it is replaced by blanks, so lines keep their numbers. */
  readonly text: string;
  /** Of a migration in code: runs instead of the one statement of `text`, which only stands for it. */
  readonly code?: MigrationCode | undefined;
}

const MODULES: ReadonlySet<string> = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"]);

/**
 * Reads a `.sql` file or every `.sql` file of a folder and the folders in it, ordered by name with numbers as numbers
 * (`2_b.sql` before `10_a.sql`). Down parts (`-- migrate:down`, `-- +goose Down` …) and down files (`….down.sql`, `down.sql`,
 * `U2__….sql`) are left out.
 *
 * @throws InvalidInputError when the path is missing, holds no SQL file, or a file is not readable text
 */
export function readSqlFiles(path: string): readonly SqlFile[] {
  const info = withFileFaults(path, () => statSync(path, { throwIfNoEntry: false }));
  if (info === undefined)
    throw new InvalidInputError(`${path} does not exist`, { hint: "give a .sql file or a folder of .sql files" });
  if (!info.isDirectory() && MODULES.has(extname(path)))
    throw new InvalidInputError(`${path} is a program, not SQL`, {
      hint: "give a .sql file or a folder of them; the SQL of Drizzle models: pgsteward diff empty MODULE",
    });
  if (!info.isDirectory()) return [readSqlFile(path, basename(path))];

  const names = filesBelow(path).filter((name) => name.toLowerCase().endsWith(".sql"));
  const wanted = names.filter((name) => !isDownFile(basename(name)) && !undoesAnother(name, names));
  if (wanted.length === 0) {
    const seen =
      names.length === 0 ? "no .sql file" : `only files that undo a migration (${names.slice(0, 3).join(", ")})`;
    throw new InvalidInputError(`the folder ${path} holds ${seen}`, {
      hint: "give the folder that holds the .sql files",
    });
  }
  return wanted.sort(byNameWithNumbers).map((name) => readSqlFile(join(path, name), relative(path, join(path, name))));
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "variant" });

/** Natural order, part of the path by part, the same on every machine. */
export function byNameWithNumbers(a: string, b: string): number {
  const left = a.split(/[\\/]/);
  const right = b.split(/[\\/]/);
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const order = collator.compare(left[index] ?? "", right[index] ?? "");
    if (order !== 0) return order;
  }
  return left.length - right.length || (a < b ? -1 : 1);
}

function readSqlFile(path: string, name: string): SqlFile {
  return { name, text: withoutDownPart(decode(readBytes(path), name)) };
}

/** @throws InvalidInputError that says why the file cannot be read, and what to do */
export function readBytes(path: string): Buffer {
  return withFileFaults(path, () => readFileSync(path));
}

/** The text of a SQL file, without a byte order mark. Refuses what is no plain text, with what to do about it. */
export function decode(bytes: Buffer, name: string): string {
  const refuse = (what: string, hint: string): never => {
    throw new InvalidInputError(`${name} is ${what}, not SQL text`, { hint });
  };
  if (bytes.subarray(0, 5).toString("latin1") === "PGDMP") {
    refuse(
      "a dump in pg_dump's custom format",
      `make it plain first: pg_restore --schema-only --file schema.sql ${name}`,
    );
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) refuse("compressed", `unpack it first: gunzip ${name}`);
  if (bytes.includes(0)) refuse("binary or UTF-16", "save it as UTF-8");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes); // drops the byte order mark too
  } catch {
    return refuse("not valid UTF-8", "save it as UTF-8, e.g. iconv -f LATIN1 -t UTF-8");
  }
}
