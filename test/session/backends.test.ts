// What a database can do, found out or told, and the paths of a distributed one taken on plain PostgreSQL.
import { eq, sql } from "drizzle-orm";
import { integer, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { openDatabase } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { testDatabase, testPglite } from "../support/test-database.ts";
import { startWireProxy } from "../support/wire-proxy.ts";

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";
const notes = pgTable("notes", { id: integer().primaryKey(), tenant_id: uuid().notNull(), body: text() });
const SETUP = `
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE backend_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT ALL ON notes TO backend_test_app;
INSERT INTO notes VALUES (1, '${A}', 'of a'), (2, '${B}', 'of b');`;
const SETTINGS = sql`SELECT current_setting('app.tenant_id') AS tenant, current_setting('app.actor_id') AS actor,
  current_setting('app.request_id') AS request, current_user AS role, current_setting('lock_timeout') AS lock`;

test("a server has everything, PGlite no COPY", async () => {
  await using server = await testDatabase();
  expect(server.backend).toEqual({
    tenantSetting: "set_config",
    copy: true,
    listen: true,
    advisoryLocks: true,
    namedStatements: true,
    multiTenantTransactions: true,
  });
  await using pglite = await testPglite();
  expect(pglite.backend).toMatchObject({ tenantSetting: "set_config", copy: false });
});

test("single fields can be told, and hold", async () => {
  await using database = await testDatabase({ backend: { copy: false, namedStatements: false, listen: false } });
  expect(database.backend).toMatchObject({ copy: false, namedStatements: false, listen: false, advisoryLocks: true });
  expect(database.preparesStatements).toBe(false);
  await database.query("SELECT 1");
  expect(database.backend).toMatchObject({ copy: false, namedStatements: false });
});

const start = async () => {
  const direct = await testDatabase({ setup: SETUP });
  const { hostname, port } = new URL(direct.url);
  const proxy = await startWireProxy({ targetHost: hostname, targetPort: Number(port) });
  const database = await openDatabase({ url: proxy.url(direct.url), backend: { tenantSetting: "set local" } });
  await database.query("SELECT 1");
  proxy.resetCount();
  return {
    database,
    proxy,
    sessions: createSessionFactory(database, { role: "backend_test_app", guard: "off", tenantIdType: "text" }),
    async [Symbol.asyncDispose]() {
      await database.close();
      await proxy.close();
      await direct.close();
    },
  };
};

test("with SET LOCAL each kind of unit sees its tenant, in the same number of flushes", async () => {
  await using fixture = await start();
  const { sessions, proxy } = fixture;
  expect(await sessions.run({ tenantId: A }, (tx) => tx.select().from(notes))).toMatchObject([{ id: 1 }]);
  expect(proxy.flushes).toBe(1);
  expect(await sessions.read({ tenantId: B }, (tx) => tx.select().from(notes))).toMatchObject([{ id: 2 }]);
  expect(proxy.flushes).toBe(2);
  await sessions.begin({ tenantId: A }, (tx) => tx.update(notes).set({ body: "new" }).where(eq(notes.id, 1)));
  expect(proxy.flushes).toBe(4);
  expect(await sessions.read({ tenantId: A }, async (tx) => (await tx.select().from(notes)).length)).toBe(1);
  expect(proxy.texts).toContain(`SET LOCAL app.tenant_id = '${A}'`);
  expect(proxy.texts.filter((each) => each.includes("set_config('app."))).toEqual([]);
  expect(await sessions.run({}, (tx) => tx.select().from(notes))).toEqual([]);
});

test("role, limits and every field of the context are set, and gone afterwards", async () => {
  await using fixture = await start();
  const context = { tenantId: A, actorId: "ada", requestId: "r1" };
  const { rows } = await fixture.sessions.run(context, (tx) => tx.execute(SETTINGS), { limits: { lockTimeoutMs: 77 } });
  expect(rows).toEqual([{ tenant: A, actor: "ada", request: "r1", role: "backend_test_app", lock: "77ms" }]);
  const after = await fixture.database.query(
    "SELECT coalesce(current_setting('app.tenant_id', true), '') AS tenant, current_user AS role, current_setting('lock_timeout') AS lock",
  );
  expect(after.rows).toEqual([{ tenant: "", role: "postgres", lock: "0" }]);
});

test("no text of a context can leave its literal", async () => {
  await using fixture = await start();
  for (const hostile of [
    "'",
    "''",
    "\\'",
    "\\",
    "x'; SET LOCAL app.tenant_id = 'y",
    "\\'; DROP TABLE notes; --",
    "$$",
    "E'\\x41'",
    "\u2019",
    "a\nb",
    "🐘",
    '"',
    "%s",
  ]) {
    for (const standard of ["on", "off"]) {
      const { rows } = await fixture.sessions.begin(
        { tenantId: hostile, actorId: hostile, requestId: hostile },
        async (tx) => {
          await tx.execute(sql.raw(`SET LOCAL standard_conforming_strings = ${standard}`));
          return tx.execute<{ tenant: string }>(SETTINGS);
        },
      );
      expect(rows).toMatchObject([{ tenant: hostile, actor: hostile, request: hostile }]);
    }
  }
  expect(
    (await fixture.database.query("SELECT count(*)::int AS count FROM pg_class WHERE relname = 'notes'")).rows,
  ).toEqual([{ count: 1 }]);
});

test("failures roll back, keep their index, and leave the connection clean", async () => {
  await using fixture = await start();
  const error = await failureOf(
    fixture.sessions.run({ tenantId: A }, (tx) => [
      tx.insert(notes).values({ id: 3, tenant_id: A }),
      tx.insert(notes).values({ id: 1, tenant_id: A }),
    ]),
  );
  expect(error).toMatchObject({ code: "UNIQUE_VIOLATION", statementIndex: 1 });
  expect(await failureOf(fixture.sessions.read({ tenantId: A }, (tx) => tx.delete(notes)))).toMatchObject({
    code: "READ_ONLY",
  });
  expect(await fixture.sessions.run({ tenantId: A }, (tx) => tx.select({ id: notes.id }).from(notes))).toEqual([
    { id: 1 },
  ]);
  expect(fixture.database.poolFigures()).toMatchObject({ total: 1, idle: 1 });
  expect(
    await failureOf(fixture.sessions.run({ tenantId: A, role: 'no"body' }, (tx) => tx.select().from(notes))),
  ).toMatchObject({
    code: expect.stringMatching(/INVALID_VALUE|INVALID_SQL|SERVER_ERROR/) as string,
  });
});
