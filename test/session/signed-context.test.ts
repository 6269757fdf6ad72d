import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { expect, inject, test } from "vitest";
import { openDatabase } from "../../src/postgres/index.ts";
import {
  createSessionFactory,
  createSignedContextFunctions,
  signedTenantCondition,
  type UnitDatabase,
} from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases, runOnServer, testDatabase } from "../support/test-database.ts";

const own = randomUUID();
const foreign = randomUUID();
const key = randomBytes(32);

const SETUP = `
DROP SCHEMA IF EXISTS pgsteward_context CASCADE;
DO $$ BEGIN CREATE ROLE signed_agent NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE TABLE documents (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL);
INSERT INTO documents SELECT n, CASE WHEN n <= 5 THEN '${own}' ELSE '${foreign}' END::uuid, 'document ' || n FROM generate_series(1, 12) AS n;
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE ON documents TO signed_agent;`;
const POLICY = `CREATE POLICY tenant ON documents USING (${signedTenantCondition()}) WITH CHECK (${signedTenantCondition()})`;

const visible = async (tx: UnitDatabase): Promise<number> =>
  Number((await tx.execute(sql`SELECT count(*) AS visible FROM documents`)).rows[0]?.["visible"]);

describeDatabases((_, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    await createSignedContextFunctions(database, { key });
    await database.exec(POLICY);
    return { database, [Symbol.asyncDispose]: () => database.close() };
  };
  const factory = (database: Awaited<ReturnType<typeof open>>, signingKey = key) =>
    createSessionFactory(database, { guard: "off", role: "signed_agent", signedContext: { key: signingKey } });

  test("a unit sees the rows of its tenant, in every kind of unit, however often", async () => {
    await using fixture = await start();
    const sessions = factory(fixture.database);
    const query = sql`SELECT count(*)::int AS visible FROM documents`;
    for (let round = 0; round < 8; round++) {
      const tenantId = round % 2 === 0 ? own : foreign;
      const wanted = round % 2 === 0 ? 5 : 7;
      const declared = await sessions.run({ tenantId }, (tx) => tx.execute(query));
      expect(declared.rows).toEqual([{ visible: wanted }]);
      expect(await sessions.begin({ tenantId }, visible)).toBe(wanted);
      expect(await sessions.read({ tenantId }, async (tx) => await visible(tx))).toBe(wanted);
    }
    expect(await sessions.begin({}, visible)).toBe(0);
  });

  test("rows of another tenant cannot be written", async () => {
    await using fixture = await start();
    const sessions = factory(fixture.database);
    const insert = (tenantId: string) =>
      sessions.run({ tenantId: own }, (tx) =>
        tx.execute(sql`INSERT INTO documents VALUES (${100}, ${tenantId}, 'new')`),
      );
    expect(await failureOf(insert(foreign))).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
    expect((await insert(own)).rowCount).toBe(1);
  });

  test("a unit signed with another key is refused; a second key can be added and the first removed", async () => {
    await using fixture = await start();
    const { database } = fixture;
    const second = randomBytes(64);
    const old = factory(database);
    const fresh = factory(database, second);
    expect(await failureOf(fresh.begin({ tenantId: own }, visible))).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
    await createSignedContextFunctions(database, { key: second });
    expect(await old.begin({ tenantId: own }, visible)).toBe(5);
    expect(await fresh.begin({ tenantId: own }, visible)).toBe(5);
    await createSignedContextFunctions(database, { key: second, removeOtherKeys: true });
    expect(await fresh.begin({ tenantId: own }, visible)).toBe(5);
    expect(await failureOf(old.begin({ tenantId: own }, visible))).toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
  });
});

test("keys that are too short and names that are not plain are refused", async () => {
  await using database = await testDatabase();
  const short = randomBytes(16);
  expect(() => createSessionFactory(database, { signedContext: { key: short } })).toThrow(/32 bytes/);
  expect(await failureOf(createSignedContextFunctions(database, { key: short }))).toMatchObject({
    code: "INVALID_INPUT",
  });
  expect(() => signedTenantCondition({ schema: "a; b" })).toThrow(/plain name/);
});

/** The program's login owns nothing and is no superuser: RESET ROLE leads to it. */
async function startHostile() {
  const password = randomBytes(12).toString("hex");
  await runOnServer(
    inject("serverUrl"),
    `DO $$ BEGIN CREATE ROLE signed_login LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
     DO $$ BEGIN CREATE ROLE signed_agent NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
     ALTER ROLE signed_login NOSUPERUSER NOBYPASSRLS PASSWORD '${password}';
     GRANT signed_agent TO signed_login;`,
  );
  const owner = await testDatabase({ setup: SETUP });
  await owner.exec("GRANT SELECT ON documents TO signed_login");
  await createSignedContextFunctions(owner, { key, roles: ["signed_login", "signed_agent"] });
  await owner.exec(POLICY);
  const url = new URL(owner.url);
  url.username = "signed_login";
  url.password = password;
  const database = await openDatabase({ url: url.href, pool: { size: 2 } });
  const sessions = createSessionFactory(database, { guard: "off", role: "signed_agent", signedContext: { key } });
  /** Runs hostile SQL in a unit of `own` and says how many rows it sees then. */
  const seenAfter = (...texts: string[]) =>
    sessions.begin({ tenantId: own }, async (tx) => {
      for (const text of texts) await tx.execute(sql.raw(text));
      return visible(tx);
    });
  return {
    owner,
    database,
    sessions,
    seenAfter,
    async [Symbol.asyncDispose]() {
      await database.close();
      await owner.close();
    },
  };
}

test("hostile SQL that changes settings or roles sees nothing, or its own tenant", async () => {
  await using fixture = await startHostile();
  const { seenAfter } = fixture;
  const other = `SELECT set_config('app.tenant_id', '${foreign}', true)`;
  expect(await seenAfter("SELECT 1")).toBe(5);
  expect(await seenAfter(other)).toBe(0);
  expect(await seenAfter(other.replace("true", "false"))).toBe(0);
  expect(await seenAfter(`SET LOCAL app.tenant_id = '${foreign}'`)).toBe(0);
  expect(await seenAfter("RESET app.tenant_id")).toBe(0);
  expect(await seenAfter("RESET app.tenant_token", other)).toBe(0);
  expect(await seenAfter("RESET ALL")).toBe(0);
  expect(await seenAfter("RESET ROLE", other)).toBe(0);
  expect(await seenAfter("RESET ROLE")).toBe(5);
  expect(await seenAfter("SET LOCAL timezone = 'Asia/Tokyo'", "SET LOCAL datestyle = 'German, DMY'")).toBe(5);
  expect(await seenAfter(`SELECT set_config('app.tenant_token', '', true)`)).toBe(0);
  expect(await seenAfter(other, `SELECT set_config('app.tenant_token', 'x.' || repeat('0', 64), true)`)).toBe(0);
  // What it left on the session does not help it, or hurt the next unit.
  expect(await seenAfter("SELECT 1")).toBe(5);
});

test("functions in pg_temp do not stand in for those of the server", async () => {
  await using fixture = await startHostile();
  await fixture.owner.exec(
    "GRANT TEMPORARY ON DATABASE " + `"${new URL(fixture.owner.url).pathname.slice(1)}"` + " TO PUBLIC",
  );
  const seen = await fixture.seenAfter(
    "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$",
    "CREATE FUNCTION pg_temp.pg_backend_pid() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
    "SET LOCAL search_path = pg_temp, public, pg_catalog",
    `SELECT pg_catalog.set_config('app.tenant_id', '${foreign}', true)`,
    `SELECT pg_catalog.set_config('app.tenant_token', 'x.00', true)`,
  );
  expect(seen).toBe(0);
});

test("the key cannot be read, and the functions do nothing without a signature", async () => {
  await using fixture = await startHostile();
  const { sessions, seenAfter } = fixture;
  const denied = { code: "INSUFFICIENT_PRIVILEGE" };
  const readKey = "SELECT * FROM pgsteward_context.signing_key";
  expect(await failureOf(seenAfter(readKey))).toMatchObject(denied);
  expect(await failureOf(seenAfter("RESET ROLE", readKey))).toMatchObject(denied);
  expect(await failureOf(seenAfter("SET ROLE postgres"))).toBeInstanceOf(Error);
  expect(
    await failureOf(seenAfter("CREATE FUNCTION pgsteward_context.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")),
  ).toMatchObject(denied);

  const keyRow = await fixture.owner.query("SELECT id FROM pgsteward_context.signing_key");
  const id = String(keyRow.rows[0]?.["id"]);
  const enter = (tenant: string, expires: number, signature: Buffer) =>
    sessions.begin({}, async (tx) => {
      await tx.execute(
        sql`SELECT pgsteward_context.enter_tenant(${tenant}, ${String(expires)}::bigint, ${id}, ${signature})`,
      );
      await tx.execute(sql`SELECT set_config('app.tenant_id', ${foreign}, true)`);
      return visible(tx);
    });
  const soon = Date.now() + 60_000;
  const sign = (tenant: string, expires: number) =>
    createHmac("sha256", key).update(`enter\n${expires}\n${tenant}`).digest();
  expect(await enter(foreign, soon, sign(foreign, soon))).toBe(7); // what a program with the key can do
  expect(await failureOf(enter(foreign, soon, sign(own, soon)))).toMatchObject(denied);
  expect(await failureOf(enter(foreign, soon + 1, sign(foreign, soon)))).toMatchObject(denied);
  const past = Date.now() - 1;
  expect(await failureOf(enter(foreign, past, sign(foreign, past)))).toMatchObject(denied);
  expect(await failureOf(enter(foreign, soon, randomBytes(32)))).toMatchObject(denied);
  expect(await failureOf(enter(foreign, soon, Buffer.alloc(0)))).toMatchObject(denied);
  expect(await enter(own, soon, sign(own, soon))).toBe(0);
});

test("a token that was read is worth nothing in another transaction or on another connection", async () => {
  await using fixture = await startHostile();
  const { sessions } = fixture;
  const tokenSql = sql`SELECT current_setting('app.tenant_token') AS token, pg_backend_pid() AS pid`;
  const read = async (tx: UnitDatabase) => (await tx.execute(tokenSql)).rows[0] as { token: string; pid: number };
  const use = async (tx: UnitDatabase, token: string): Promise<number> => {
    await tx.execute(
      sql`SELECT set_config('app.tenant_id', ${foreign}, true), set_config('app.tenant_token', ${token}, true)`,
    );
    return visible(tx);
  };
  const old = await sessions.begin({ tenantId: foreign }, read);
  expect(old.token).toMatch(/^[0-9a-f]{16}\.[0-9a-f]{64}$/);
  const replayed = await sessions.begin({ tenantId: own }, async (tx) => {
    const { pid } = await read(tx);
    return { pid, seen: await use(tx, old.token) };
  });
  expect(replayed).toEqual({ pid: old.pid, seen: 0 });

  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  let tell: (token: { token: string; pid: number }) => void = () => undefined;
  const told = new Promise<{ token: string; pid: number }>((resolve) => (tell = resolve));
  const holding = sessions.begin({ tenantId: foreign }, async (tx) => {
    tell(await read(tx));
    await finished;
    return visible(tx);
  });
  const live = await told;
  const elsewhere = await sessions.begin({ tenantId: own }, async (tx) => {
    const { pid } = await read(tx);
    return { isOther: pid !== live.pid, seen: await use(tx, live.token) };
  });
  finish();
  expect(elsewhere).toEqual({ isOther: true, seen: 0 });
  expect(await holding).toBe(7);
});

test("signatures are not in what the role can see of its own or other sessions", async () => {
  await using fixture = await startHostile();
  const seen = await fixture.sessions.begin({ tenantId: own }, async (tx) => {
    const { rows } = await tx.execute(sql`
SELECT query AS text FROM pg_stat_activity WHERE query IS NOT NULL
UNION ALL SELECT statement FROM pg_prepared_statements
UNION ALL SELECT statement FROM pg_cursors`);
    return rows.map((row) => String(row["text"]));
  });
  expect(seen.length).toBeGreaterThan(0);
  for (const text of seen) expect(text).not.toMatch(/[0-9a-f]{32}/);
});
