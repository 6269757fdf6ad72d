// The migration tools whose SQL can be read: how a file of theirs is told, and what they run as one transaction.
import { basename, dirname } from "node:path";
import { hasPlayMarks, LIQUIBASE } from "./parts.ts";

export const MIGRATION_TOOLS = [
  "atlas",
  "dbmate",
  "diesel",
  "drizzle",
  "flyway",
  "golang-migrate",
  "goose",
  "graphile-migrate",
  "hasura",
  "liquibase",
  "node-pg-migrate",
  "plain",
  "play",
  "postgrator",
  "prisma",
  "sql-migrate",
  "sqitch",
  "sqlx",
  "supabase",
  "tern",
  "yoyo",
] as const;
export type MigrationTool = (typeof MIGRATION_TOOLS)[number];

/**
 * What runs as one transaction: every statement alone, the file, or all pending files together. `implicit`: several statements sent
 * as one query are one transaction, a single one is not.
 */
export type TransactionScope = "statement" | "file" | "batch" | "implicit";

const SCOPES: Readonly<Record<MigrationTool, TransactionScope>> = {
  atlas: "file",
  dbmate: "file",
  diesel: "file",
  drizzle: "batch", // its migrator runs all pending files in one transaction
  flyway: "file",
  "golang-migrate": "implicit",
  goose: "file",
  "graphile-migrate": "file",
  hasura: "file", // run_sql of its server
  liquibase: "file", // a changeset
  "node-pg-migrate": "file",
  plain: "statement", // as psql runs it
  play: "statement", // its evolutions commit each statement
  postgrator: "implicit",
  prisma: "implicit",
  "sql-migrate": "file",
  sqitch: "statement", // by psql; its templates write BEGIN and COMMIT
  sqlx: "file",
  supabase: "implicit",
  tern: "file",
  yoyo: "file",
};

/** Marks that take a file out of its tool's transaction; the tool then runs its statements one by one. */
const EACH_ALONE =
  /^--\s*(?:migrate:up\b.*\btransaction:\s*false|\+goose\s+no\s+transaction|\+migrate\s+(?:up|down)\s+notransaction|flyway:executeInTransaction=false|disable-transaction|atlas:txmode\s+none|-{0,2}\s*tern:\s*disable-tx|transactional:\s*false)/im;
/** Marks that do, of tools that send the file as one query all the same: graphile-migrate, postgres-migrations. */
const SENT_WHOLE = /^--\s*(?:!\s*no-transaction|postgres-migrations\s+disable-transaction)/im;
/** sqlx looks at the very beginning of the file, and sends it as one query too. */
const SQLX_MARK = "-- no-transaction";

/** What is one transaction where the tool opens none: sqlx and Diesel send the file as one query. */
export function scopeWithoutTransaction(tool: MigrationTool): TransactionScope {
  return tool === "sqlx" || tool === "diesel" ? "implicit" : "statement";
}

/** @param text - the part that is meant: of a file with an up and a down, the one with its mark */
export function transactionScope(tool: MigrationTool, text: string): TransactionScope {
  // The mark of a way back counts for itself; in a whole file the first one is that of the way there.
  const mark = /^--\s*migrate:(?:up|down)\b.*$/im.exec(text)?.[0];
  if (mark !== undefined) return /\btransaction:\s*false\b/i.test(mark) ? "statement" : SCOPES[tool];
  if (SENT_WHOLE.test(text) || text.startsWith(SQLX_MARK)) return "implicit";
  return EACH_ALONE.test(text) ? "statement" : SCOPES[tool];
}

/** The names that postgrator runs. */
export const POSTGRATOR = /^\d+\.(?:do|undo)\.(?:.+\.)?sql$/i;

/** Tells the tool by a file's path and the marks in its text; `plain` when nothing tells. */
export function toolOfFile(path: string, text: string): MigrationTool {
  const base = basename(path);
  const folder = basename(dirname(path));
  if (/^--\s*migrate:up\b/m.test(text)) return "dbmate";
  if (/^--\s*\+goose\s+up\b/im.test(text)) return "goose";
  if (/^--\s*\+migrate\s+up\b/im.test(text)) return "sql-migrate";
  if (LIQUIBASE.test(text)) return "liquibase";
  if (hasPlayMarks(text)) return "play";
  if (/^--[\s-]*up\s+migration\b|^--[\s-]*down\s+migration\b[^a-z\n]*$/im.test(text)) return "node-pg-migrate";
  if (/^-{2,}\s*create above \/ drop below\s*-{2,}/im.test(text)) return "tern";
  if (/^--!\s*Previous:/m.test(text)) return "graphile-migrate";
  if (
    text.includes("--> statement-breakpoint") ||
    (/^\d{4}_[a-z]+_[a-z_]+\.sql$/.test(base) && /(?:^|\/)drizzle\//.test(path))
  )
    return "drizzle";
  if (base === "migration.sql" && folder !== ".") return "prisma";
  if ((base === "up.sql" || base === "down.sql") && folder !== ".")
    return /^\d{13}_/.test(folder) ? "hasura" : "diesel";
  if (/^(?:V\d[\w.]*|R|B\d[\w.]*)__.+\.sql$/.test(base)) return "flyway";
  if (POSTGRATOR.test(base)) return "postgrator";
  if (/^--\s*depends:/m.test(text)) return "yoyo";
  if (/^\d+_.+\.sql$/.test(base) && text.startsWith(SQLX_MARK)) return "sqlx";
  if (/^\d+[_-].+\.(?:up|down)\.sql$/.test(base)) return "golang-migrate";
  if (/(?:^|\/)supabase\/migrations\//.test(path.replaceAll("\\", "/"))) return "supabase";
  return "plain";
}
