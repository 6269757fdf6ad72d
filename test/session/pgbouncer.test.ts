// Units of work through PgBouncer in transaction mode: found out without configuration, with named statements on and off,
// with fewer server connections than clients.
import { eq, sql } from "drizzle-orm";
import { bigint, integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDatabase, type Database } from "../../src/postgres/index.ts";
import { createSessionFactory, type SessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { findPgBouncer, startPgBouncer, type PgBouncer } from "../support/pgbouncer.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";
const notes = pgTable("notes", { id: integer().primaryKey(), tenant_id: uuid().notNull(), body: text() });
const counters = pgTable("counters", { n: bigint({ mode: "number" }) });
const SETUP = `
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL DEFAULT nullif(current_setting('app.tenant_id', true), '')::uuid, body text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE pooler_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT ALL ON notes TO pooler_test_app;
INSERT INTO notes VALUES (1, '${A}', 'of a'), (2, '${B}', 'of b');`;

const program = findPgBouncer();
const tracksStatements = program !== undefined && program.minor >= 21;

if (program !== undefined) {
  describe.each([
    { maxPreparedStatements: 0, preparedStatements: "auto" as const },
    { maxPreparedStatements: 0, preparedStatements: true },
    ...(tracksStatements ? [{ maxPreparedStatements: 200, preparedStatements: true }] : []),
  ])(
    "with max_prepared_statements = $maxPreparedStatements and preparedStatements: $preparedStatements",
    (settings) => {
      let server: TestDatabase;
      let pooler: PgBouncer;
      let database: Database;
      let sessions: SessionFactory;
      beforeAll(async () => {
        server = await testDatabase({ setup: SETUP });
        pooler = await startPgBouncer(server.url, {
          poolSize: 3,
          maxPreparedStatements: settings.maxPreparedStatements,
        });
        database = await openDatabase({
          url: pooler.url,
          preparedStatements: settings.preparedStatements,
          pool: { size: 12, acquireTimeoutMs: 100_000 },
        });
        sessions = createSessionFactory(database, { role: "pooler_test_app" });
      });
      afterAll(async () => {
        await database?.close();
        await pooler?.[Symbol.asyncDispose]();
        await server?.close();
      });

      test("the pooler is noticed", async () => {
        expect((await database.serverFacts()).behindPooler).toBe(true);
        expect(database.preparesStatements).toBe(settings.preparedStatements === true);
        expect(await database.health()).toMatchObject({ ok: true });
      });

      test("LISTEN is refused, because nobody would hear", async () => {
        await expect(database.listen("notes", () => undefined)).rejects.toMatchObject({
          code: "INVALID_INPUT",
          message: expect.stringContaining("pooler") as unknown,
        });
      });

      test("each unit sees its own tenant, however its statements meet the server's connections", async () => {
        const tenants = [A, B];
        const seen = await Promise.all(
          Array.from({ length: 300 }, async (_, index) => {
            const tenantId = tenants[index % 2];
            const rows =
              index % 3 === 0
                ? await sessions.begin({ tenantId }, async (tx) => {
                    await tx.execute(sql`SELECT 1`);
                    return tx.select().from(notes);
                  })
                : await sessions.run({ tenantId }, (tx) => tx.select().from(notes));
            return rows.map(({ tenant_id }) => tenant_id === tenantId);
          }),
        );
        expect(seen).toEqual(Array.from({ length: 300 }, () => [true]));
        expect(await sessions.run({}, (tx) => tx.select().from(notes))).toEqual([]);
      });

      test("units are atomic, nested ones undo their own, and errors keep their kind", async () => {
        expect(
          await failureOf(
            sessions.run({ tenantId: A }, (tx) => [
              tx.insert(notes).values({ id: 10, tenant_id: A }),
              tx.insert(notes).values({ id: 1, tenant_id: A }),
            ]),
          ),
        ).toMatchObject({ code: "UNIQUE_VIOLATION", statementIndex: 1 });
        await sessions.begin({ tenantId: A }, async (tx) => {
          await tx.insert(notes).values({ id: 11, tenant_id: A });
          await failureOf(
            tx.begin(async (inner) => {
              await inner.insert(notes).values({ id: 12, tenant_id: A });
              throw new Error("not this one");
            }),
          );
        });
        expect(
          await failureOf(
            sessions.begin({ tenantId: A }, async (tx) => {
              await tx.insert(notes).values({ id: 13, tenant_id: A });
              await failureOf(tx.execute(sql`SELECT 1 / 0`));
            }),
          ),
        ).toMatchObject({ code: "SILENT_ROLLBACK" });
        const rows = await sessions.run({ tenantId: A }, (tx) =>
          tx.select({ id: notes.id }).from(notes).orderBy(notes.id),
        );
        expect(rows.map(({ id }) => id)).toEqual([1, 11]);
        expect(
          await failureOf(sessions.run({ tenantId: A }, (tx) => tx.insert(notes).values({ id: 20, tenant_id: B }))),
        ).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
        expect(await failureOf(sessions.read({ tenantId: A }, (tx) => tx.delete(notes)))).toMatchObject({
          code: "READ_ONLY",
        });
      });

      test("what stood behind a statement that failed is run by the same connection afterwards", async () => {
        await using connection = await database.connect();
        const name = (text: string) => `behind_${settings.maxPreparedStatements}_${text}`;
        const failing = { text: "SELECT 1 / $1::int4", values: [0], name: name("failing") };
        const behind = { text: "SELECT $1::int4 AS n", values: [7], name: name("it") };
        const isNamed = settings.preparedStatements === true;
        const plain = ({ text, values }: typeof failing) => ({ text, values });
        const batch = [failing, behind].map((statement) => (isNamed ? statement : plain(statement)));
        for (let round = 0; round < 3; round++) {
          expect(await failureOf(connection.batch(batch))).toMatchObject({ code: "INVALID_VALUE", statementIndex: 0 });
          const alone = await connection.batch(batch.slice(1)).catch((error: unknown) => error);
          // A pooler that tracks no names may meet a server connection that has this one.
          if (isNamed && settings.maxPreparedStatements === 0) continue;
          expect(alone).toMatchObject([{ rows: [{ n: 7 }] }]);
        }
      });

      test("settings, roles and limits of a unit are gone with it", async () => {
        await sessions.run({ tenantId: A, actorId: "ada" }, (tx) => tx.execute(sql`SELECT 1`), {
          limits: { lockTimeoutMs: 77 },
        });
        const leftovers = await Promise.all(
          Array.from({ length: 20 }, () =>
            database.query(`SELECT current_setting('app.actor_id', true) AS actor, current_setting('lock_timeout') AS lock,
            current_setting('role') AS role`),
          ),
        );
        for (const { rows } of leftovers)
          expect([{ ...rows[0], actor: rows[0]?.["actor"] ?? "" }]).toEqual([{ actor: "", lock: "0", role: "none" }]);
      });

      test("a cancelled unit is stopped on the server, and the pooler's connections go on", async () => {
        const stop = new AbortController();
        const failure = failureOf(
          sessions.run({ tenantId: A }, (tx) => tx.execute(sql`SELECT pg_sleep(30)`), { signal: stop.signal }),
        );
        const active = async () =>
          (
            await server.query<{ count: number }>(
              `SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()`,
            )
          ).rows[0]?.count;
        await expect.poll(active).toBe(1);
        stop.abort();
        expect(await failure).toMatchObject({ code: "CANCELLED" });
        await expect.poll(active).toBe(0);
        expect(
          await sessions.run({ tenantId: A }, (tx) => tx.select().from(notes).where(eq(notes.id, 1))),
        ).toHaveLength(1);
      });

      test("a table that changes under its statements is no trouble", async () => {
        const read = () => sessions.run({ tenantId: B }, (tx) => tx.execute(sql`SELECT * FROM notes WHERE id = 2`));
        for (let round = 0; round < 6; round++) await read();
        await server.exec("ALTER TABLE notes ADD COLUMN IF NOT EXISTS extra int");
        const answers = await Promise.all(Array.from({ length: 12 }, read));
        for (const { rows } of answers) expect(rows).toMatchObject([{ id: 2, extra: null }]);
        await server.exec("ALTER TABLE notes DROP COLUMN extra");
      });

      test("a column that was made wider takes its values, whichever server connection knows the statement", async () => {
        await server.exec("CREATE TABLE counters (n int); GRANT ALL ON counters TO pooler_test_app");
        const count = (n: number) => sessions.run({}, (tx) => tx.insert(counters).values({ n }));
        await Promise.all(Array.from({ length: 12 }, () => count(1)));
        await server.exec("ALTER TABLE counters ALTER n TYPE bigint");
        for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 12 }, () => count(3e9)));
        const [written] = (await server.query("SELECT count(*)::int AS n FROM counters WHERE n = 3e9")).rows;
        expect(written).toEqual({ n: 24 });
      });

      test("server connections that end are replaced", async () => {
        await sessions.run({ tenantId: A }, (tx) => tx.select().from(notes));
        await server
          .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'none'",
          )
          .catch(() => undefined);
        await expect
          .poll(async () =>
            sessions.run({ tenantId: A }, (tx) => tx.select().from(notes).where(eq(notes.id, 1))).catch(() => []),
          )
          .toHaveLength(1);
        expect(database.leases()).toEqual([]);
      });
    },
  );
}

test("a direct connection is not taken for a pooler", async () => {
  await using database = await testDatabase();
  expect((await database.serverFacts()).behindPooler).toBe(false);
  expect(database.preparesStatements).toBe(true);
});
