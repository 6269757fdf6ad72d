// Migrations written in TypeScript or JavaScript, for what SQL cannot say: numbered files that export `up` and `down`.
import { createHash } from "node:crypto";
import { basename } from "node:path";
import { InvalidInputError, literal } from "../../postgres/index.ts";
import type { Migration, MigrationPart } from "../migration-files.ts";
import { isCodeMigration, namesPgsteward } from "./code-file.ts";
import { migrationCode } from "./run-code.ts";

/**
 * Reads a migration in code from its text; nothing of it runs. Its statement is a `DO` in a language that no server has, so that it
 * cannot run as SQL.
 *
 * @param path - where the file lies; it is imported from there when it runs
 * @throws InvalidInputError when it is another tool's, or exports no function `up`
 */
export function parseCodeMigration(path: string, text: string): Migration {
  const file = basename(path);
  const [, version, name] = /^(\d+)_(.+)\.\w+$/.exec(file) ?? [];
  if (version === undefined || name === undefined || !isCodeMigration(file))
    throw new InvalidInputError(`${file} is not named like a migration`, {
      hint: "name it like 0008_split_names.ts",
    });
  if (!namesPgsteward(text))
    throw new InvalidInputError(`${file} is not a migration that pgsteward runs: it imports nothing from it`, {
      hint: 'write import type { Queryable } from "pgsteward" and export async function up(connection: Queryable); what is another tool\'s belongs into another folder',
    });
  const part = (direction: "up" | "down"): MigrationPart | undefined =>
    exportsName(text, direction)
      ? {
          sql: `DO LANGUAGE ${file.endsWith("js") ? "javascript" : "typescript"} ${literal(`${direction}() of ${file}`)}`,
          isTransactional: true,
          code: migrationCode(path, direction, text),
        }
      : undefined;
  const up = part("up");
  if (up === undefined)
    throw new InvalidInputError(`${file} exports no function up`, {
      hint: "write export async function up(connection: Queryable) { … }, and down beside it",
    });
  const checksum = createHash("sha256").update(text.replaceAll("\r\n", "\n")).digest("hex");
  const irreversible = /^(?:\/\/|\s*\*)\s*irreversible:[ \t]*(\S.*?)\s*$/m.exec(text)?.[1];
  return { version, name, file, checksum, text, up, down: part("down"), irreversible };
}

/** Whether a statement is the one that stands for code. */
export function standsForCode(sql: string): boolean {
  return /^DO LANGUAGE (?:typescript|javascript) /.test(sql);
}

/** `export function up`, `export const up =`, `export { up }`, also `export { forth as up }`. */
function exportsName(text: string, name: string): boolean {
  const declared = new RegExp(String.raw`^\s*export\s+(?:async\s+)?(?:function\s*\*?|const|let|var)\s+${name}\b`, "m");
  const listed = new RegExp(
    String.raw`^\s*export\s*\{[^}]*?(?:\bas\s+${name}|(?:\{|,)\s*${name})\s*(?:,[^}]*)?\}`,
    "m",
  );
  return declared.test(text) || listed.test(text);
}
