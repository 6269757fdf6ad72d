// Runs the phases of a plan as the migration files that they are.
import { compareCatalogs, readCatalog, type Catalog } from "../../../src/catalog/index.ts";
import {
  formatExpandPhase,
  lintSql,
  parseMigration,
  parseSqlScript,
  planExpandContract,
  type ExpandChange,
  type ExpandPhase,
  type ExpandPlan,
} from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";

export async function planOn(database: Database, change: ExpandChange): Promise<ExpandPlan> {
  return planExpandContract(await readCatalog(database, { schemas: ["shop"] }), change);
}

/** One direction of a phase's file, statement after statement on one connection; a script without transaction marks is one. */
export async function runPhase(
  database: Database,
  phase: ExpandPhase,
  direction: "up" | "down",
  onNotice?: (message: string) => void,
): Promise<void> {
  const file = `0001_${phase.name}.sql`;
  const part = parseMigration(file, formatExpandPhase(phase))[direction];
  if (part === undefined) throw new Error(`${file} has no ${direction}`);
  const { statements } = await parseSqlScript(part.sql, file);
  await using connection = await database.connect();
  const listen = ({ message = "" }: { readonly message?: string | undefined }): void => onNotice?.(message);
  connection.client.on("notice", listen);
  if (onNotice !== undefined) await connection.exec("SET client_min_messages = debug1");
  if (part.isTransactional) await connection.exec("BEGIN");
  for (const { text } of statements) await connection.exec(text, { timeoutMs: 60_000 });
  if (part.isTransactional) await connection.exec("COMMIT");
  if (onNotice !== undefined) await connection.exec("RESET client_min_messages");
  connection.client.removeListener("notice", listen);
}

export function shopCatalog(database: Database): Promise<Catalog> {
  return readCatalog(database, { schemas: ["shop"] });
}

/** What the linter still says about the files of a plan, e.g. `error drop-column`. */
export async function lintPhases(phases: readonly ExpandPhase[], catalog: Catalog): Promise<readonly string[]> {
  const files = phases.map((phase, index) => ({
    name: `000${index + 1}_${phase.name}.sql`,
    text: formatExpandPhase(phase),
  }));
  const { findings } = await lintSql(files, { catalog });
  return findings.map(({ severity, rule }) => `${severity} ${rule}`);
}

/** Ids of what differs. */
export function differences(before: Catalog, after: Catalog): readonly string[] {
  return compareCatalogs(before, after).map((change) => JSON.stringify(change));
}
