// A phase as a migration file, and the files in their folder.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileFault } from "../../postgres/file-fault.ts";
import { parseMigration, readMigrations } from "../migration-files.ts";
import { nextVersion } from "../write-migration.ts";
import type { ExpandGroup, ExpandPhase, ExpandPlan } from "./change.ts";

/** The text of a phase's file: a header that says why, `-- migrate:up`, `-- migrate:down`. */
export function formatExpandPhase(phase: ExpandPhase): string {
  const header = phase.why.map((line) => `-- ${line}`);
  if (phase.irreversible !== undefined) header.push(`-- irreversible: ${phase.irreversible}`);
  return `${[...header, "", part("up", phase.up), "", part("down", phase.down)].join("\n")}\n`;
}

function part(direction: "up" | "down", groups: readonly ExpandGroup[]): string {
  const [only] = groups;
  if (only === undefined) return `-- migrate:${direction}`;
  if (groups.length === 1 && only.inTransaction) {
    return [`-- migrate:${direction}`, ...only.statements.map((statement) => `${statement};`)].join("\n");
  }
  const texts = groups.map(({ inTransaction, statements }) => {
    const lines = statements.map((statement) => `${statement};`);
    return (inTransaction ? ["BEGIN;", ...lines, "COMMIT;"] : lines).join("\n");
  });
  return [`-- migrate:${direction} transaction:false`, texts.join("\n\n")].join("\n");
}

/**
 * Writes the phases as numbered files after those that are there, in the folder's own scheme (0001 or the time).
 *
 * @param folder - made when it does not exist
 * @param at - the time, for folders that count by it
 * @returns the names of the files, in their order
 * @throws InvalidInputError when the folder is of another tool or cannot be written; nothing is left of the plan then
 */
export function writeExpandMigrations(folder: string, plan: Pick<ExpandPlan, "phases">, at: Date): readonly string[] {
  const written: string[] = [];
  try {
    mkdirSync(folder, { recursive: true });
    const versions = readMigrations(folder).map(({ version }) => version);
    return plan.phases.map((phase) => {
      const version = nextVersion(versions, at);
      versions.push(version);
      const file = `${version}_${phase.name}.sql`;
      const text = formatExpandPhase(phase);
      parseMigration(file, text);
      writeFileSync(join(folder, file), text, { flag: "wx" });
      written.push(file);
      return file;
    });
  } catch (cause) {
    for (const file of written) rmSync(join(folder, file), { force: true });
    throw fileFault(cause, folder) ?? cause;
  }
}
