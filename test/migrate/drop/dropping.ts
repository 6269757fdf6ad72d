// What tests of drops in two releases share: the files of a plan in a folder, rows as one text, and what a catalog has otherwise.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareCatalogs, readCatalog, type Catalog } from "../../../src/catalog/index.ts";
import {
  planDropInTwoReleases,
  readDropChange,
  withoutRecords,
  writeExpandMigrations,
  type DropPlan,
} from "../../../src/migrate/index.ts";
import type { Database } from "../../../src/postgres/index.ts";

export async function inFolder<T>(plan: DropPlan, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-drop-"));
  try {
    writeExpandMigrations(folder, plan, new Date());
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function rowsOf(database: Database, query: string): Promise<unknown> {
  const { rows } = await database.query<{ print: string }>(
    `SELECT count(*) || ' ' || coalesce(md5(string_agg(r::text, ';' ORDER BY r::text)), '') AS print FROM (${query}) AS r`,
  );
  return rows[0]?.print;
}

export async function differences(before: Catalog, database: Database): Promise<readonly string[]> {
  const changes = compareCatalogs(withoutRecords(before), withoutRecords(await readCatalog(database)));
  return changes.map((change) => JSON.stringify(change));
}

export const plan = async (database: Database, words: string, value?: string): Promise<DropPlan> => {
  const change = readDropChange(words);
  return planDropInTwoReleases(
    await readCatalog(database),
    change.kind === "column" && value !== undefined ? { ...change, default: value } : change,
  );
};
