// The server on which migrations are verified: one is started, and gives an empty database as often as one is needed.
import {
  identifier,
  NoShadowError,
  withShadow,
  type Database,
  type ShadowInfo,
  type ShadowOptions,
} from "../../postgres/index.ts";

export interface Bench {
  readonly info: ShadowInfo;
  /** The server is thrown away too: its roles are ours to make and drop. */
  readonly ownsServer: boolean;
  /** Runs `work` on an empty database and drops it. */
  readonly withDatabase: <T>(work: (database: Database) => Promise<T>) => Promise<T>;
}

export interface BenchOptions extends Pick<ShadowOptions, "engine" | "binaries" | "major" | "signal"> {
  /** A server to verify on, in databases of their own beside this one. */
  readonly database?: Database | undefined;
}

const MADE_ROLES_SQL = `
SELECT r.rolname AS name
FROM pg_catalog.pg_roles AS r
WHERE r.rolname <> CURRENT_USER
  AND r.rolname NOT LIKE 'pg\\_%'`;

/** @throws NoShadowError when no engine can be had */
export async function withBench<T>(
  options: BenchOptions,
  extensions: readonly string[],
  work: (bench: Bench) => Promise<T>,
): Promise<T> {
  const { database, binaries, major, signal } = options;
  const engine =
    options.engine ?? (database === undefined ? ["embedded", "pglite"] : ["scratch", "embedded", "pglite"]);
  const shadowOptions: ShadowOptions = { engine, binaries, major, signal };
  const run = (wanted: readonly string[]): Promise<T> =>
    withShadow(database, { ...shadowOptions, extensions: wanted }, (shadow, info) =>
      work(benchOn(shadow, info, database, signal)),
    );
  if (extensions.length === 0) return run([]);
  try {
    return await run(extensions);
  } catch (error) {
    if (!(error instanceof NoShadowError)) throw error;
    // No engine has all of them: what does not need the missing ones can be verified, and the report names them.
    return await run([]);
  }
}

function benchOn(
  shadow: Database,
  info: ShadowInfo,
  given: Database | undefined,
  signal: AbortSignal | undefined,
): Bench {
  let isUsed = false;
  const again = (): [Database | undefined, ShadowOptions] => {
    if (info.kind === "embedded") return [shadow, { engine: "scratch", signal }];
    return [given, { engine: info.kind, signal }];
  };
  return {
    info,
    ownsServer: info.kind !== "scratch",
    withDatabase: async (work) => {
      // The embedded server's own database stays empty: those made beside it can be had again and again.
      if (!isUsed && info.kind !== "embedded") {
        isUsed = true;
        return work(shadow);
      }
      try {
        return await withShadow(...again(), work);
      } finally {
        if (info.kind === "embedded" && signal?.aborted !== true) await dropMadeRoles(shadow);
      }
    },
  };
}

async function dropMadeRoles(server: Database): Promise<void> {
  const { rows } = await server.query<{ name: string }>(MADE_ROLES_SQL);
  for (const { name } of rows) await server.exec(`DROP ROLE ${identifier(name)}`);
}
