// A scratch database beside the real one: made, dropped on every way out, and swept up later when its process was killed.
import { createHash, randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { openNeighbour } from "./connect.ts";
import type { Connection, Database } from "./database.ts";
import { DatabaseError } from "./errors.ts";
import { processState } from "./folder-lock.ts";
import { identifier } from "./identifier.ts";
import { literal } from "./literal.ts";

export interface ScratchDatabase {
  readonly database: Database;
  /** Cuts whoever is still connected and drops it. Idempotent. */
  readonly drop: () => Promise<void>;
}

/** Copying template0 takes well under a second, but waits for the disk of a busy server. */
const CREATE_LIMIT_MS = 120_000;
const OBJECT_IN_USE = "55006";

// pgsteward_shadow_<host>_<process id>_<process start>_<random>. In the name, not in a comment: the name comes into being together
// with the database, so a process killed right after CREATE DATABASE leaves none that nobody can tell the owner of.
const NAME = /^pgsteward_shadow_([0-9a-f]{8})_(\d+)_([0-9a-f]{8})_[0-9a-f]{10}$/;

// Encoding and locale as the real database has them, or sorting and pattern indexes would differ. Read as JSON, because the columns
// differ: datlocprovider came with 15, daticulocale became datlocale in 17.
const LOCALE_SQL = `
SELECT to_jsonb(d) AS settings, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()`;

const UNUSED_SHADOWS_SQL = `
SELECT d.datname AS name
FROM pg_catalog.pg_database AS d
WHERE d.datname LIKE 'pgsteward\\_shadow\\_%'
  AND pg_catalog.pg_get_userbyid(d.datdba) = CURRENT_USER
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid)
ORDER BY d.datname`;

/** Makes an empty database on the server of `beside`, whose login must have CREATEDB. */
export async function makeScratchDatabase(beside: Database): Promise<ScratchDatabase> {
  const name = `pgsteward_shadow_${shortHash(hostname())}_${process.pid}_${startHash(process.pid)}_${randomBytes(5).toString("hex")}`;
  await onServer(beside, async (connection) => {
    await dropAbandoned(connection);
    const { rows } = await connection.query<LocaleRow>(LOCALE_SQL);
    const locale = rows[0] === undefined ? "" : localeClauses(rows[0]);
    await connection.exec(`CREATE DATABASE ${identifier(name)} TEMPLATE template0${locale}`, {
      timeoutMs: CREATE_LIMIT_MS,
    });
  });
  let dropping: Promise<void> | undefined;
  const dropDatabase = (): Promise<void> =>
    onServer(beside, (connection) =>
      connection.exec(`DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`, { timeoutMs: CREATE_LIMIT_MS }),
    );
  try {
    // Never evicted: a live shadow always has a connection, by which a sweep elsewhere sees that it is in use.
    const database = await openNeighbour(beside, name, { size: 4, idleTimeoutMs: 0 });
    const drop = async (): Promise<void> => {
      await dropDatabase(); // first, so that statements which still run do not hold up the closing of the pool
      await database.close();
    };
    const scratch = { database, drop: () => (dropping ??= drop()) };
    await database.query("SELECT 1").catch(async (error: unknown) => {
      await scratch.drop();
      throw error;
    });
    return scratch;
  } catch (error) {
    if (dropping === undefined) await dropDatabase();
    throw error;
  }
}

/**
 * Drops shadows whose process on this host is dead. Not WITH (FORCE), and only without a connection: another machine of the same
 * host name may own it.
 */
async function dropAbandoned(connection: Connection): Promise<void> {
  const { rows } = await connection.query<{ name: string }>(UNUSED_SHADOWS_SQL);
  for (const { name } of rows) {
    const [, host, pid, start] = NAME.exec(name) ?? [];
    if (host !== shortHash(hostname()) || pid === undefined) continue;
    const state = processState(Number(pid));
    const isDead = state === undefined ? !exists(Number(pid)) : state.hasEnded || startHash(Number(pid)) !== start;
    if (!isDead) continue;
    try {
      await connection.exec(`DROP DATABASE IF EXISTS ${identifier(name)}`, { timeoutMs: CREATE_LIMIT_MS });
    } catch (error) {
      // Somebody connected to it meanwhile: then it is not abandoned.
      if (!(error instanceof DatabaseError && error.sqlState === OBJECT_IN_USE)) throw error;
    }
  }
}

interface LocaleRow {
  readonly encoding: string;
  readonly settings: Readonly<Record<string, string | null | undefined>>;
}

/** @see https://www.postgresql.org/docs/18/sql-createdatabase.html */
function localeClauses({ encoding, settings }: LocaleRow): string {
  const { datcollate, datctype, datlocprovider, daticulocale, datlocale, daticurules } = settings;
  const clauses = [
    ["ENCODING", encoding],
    ["LC_COLLATE", datcollate],
    ["LC_CTYPE", datctype],
    ["LOCALE_PROVIDER", datlocprovider === "i" ? "icu" : datlocprovider === "b" ? "builtin" : undefined],
    ["ICU_LOCALE", datlocprovider === "i" ? (datlocale ?? daticulocale) : undefined],
    ["ICU_RULES", datlocprovider === "i" ? daticurules : undefined],
    ["BUILTIN_LOCALE", datlocprovider === "b" ? datlocale : undefined],
  ] as const;
  return clauses
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([word, value]) => ` ${word} ${literal(String(value))}`)
    .join("");
}

/** A connection of its own, because CREATE and DROP DATABASE refuse to run inside a transaction. */
async function onServer(database: Database, work: (connection: Connection) => Promise<void>): Promise<void> {
  await using connection = await database.connect({ besideUnit: true });
  await work(connection);
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

function startHash(pid: number): string {
  return shortHash(processState(pid)?.start ?? "unknown");
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
