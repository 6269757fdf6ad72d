// What tests of plans share: the plan between two schemas, its steps as lines, and what the server tells while they run.
import { readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { planMigration, type Plan, type Step } from "../../src/migrate/index.ts";
import type { TestDatabase } from "../support/test-database.ts";

/** What the schema public holds after this SQL, and nothing else. */
export async function catalogOf(database: TestDatabase, sql: string): Promise<Catalog> {
  await database.exec(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${sql}`);
  return readCatalog(database);
}

export async function planOf(
  database: TestDatabase,
  before: string,
  after: string,
  serverVersion?: number,
): Promise<Plan> {
  const wanted = await catalogOf(database, after);
  return planMigration(await catalogOf(database, before), wanted, { serverVersion });
}

/** One line a step: group, `!` outside of transactions, the SQL shortened. */
export function lines({ steps }: Plan): readonly string[] {
  return steps.map(({ sql, transactionGroup, inTransaction }) => {
    const text = sql.startsWith("DO ")
      ? "DO"
      : sql.replaceAll('"public".', "").replaceAll('"', "").replaceAll("public.", "");
    return `${transactionGroup}${inTransaction ? "" : "!"} ${text}`;
  });
}

export function stepOf(plan: Plan, text: string): Step {
  const found = plan.steps.find(({ sql }) => sql.includes(text));
  if (found === undefined) throw new Error(`no step with ${text}`);
  return found;
}

/** Applies a plan to the database; what the server tells meanwhile. */
export async function noticesOf(database: TestDatabase, { steps }: Plan): Promise<readonly string[]> {
  const notices: string[] = [];
  await using connection = await database.connect();
  const listen = ({ message = "" }: { readonly message?: string | undefined }): void => void notices.push(message);
  connection.client.on("notice", listen);
  await connection.exec("SET client_min_messages = debug1");
  for (const { sql } of steps) await connection.exec(sql);
  await connection.exec("RESET client_min_messages");
  connection.client.removeListener("notice", listen);
  return notices;
}
