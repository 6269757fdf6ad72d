// Units whose SQL is built once: the same results, rules and round trips as run().
import { eq, isNull, sql } from "drizzle-orm";
import { integer, jsonb, pgTable, text, timestamp, uuid } from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import { expect, test } from "vitest";
import { createSessionFactory, type UnitObserver } from "../../src/session/index.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { describeDatabases } from "../support/test-database.ts";

const teams = pgTable("teams", { id: integer().primaryKey(), name: text() });
const agents = pgTable("agents", {
  id: integer().primaryKey(),
  tenantId: uuid("tenant_id"),
  name: text().notNull(),
  teamId: integer("team_id"),
  state: jsonb().$type<{ step: number }>(),
  seenAt: timestamp("seen_at", { withTimezone: true }),
});
const teamRelations = relations(teams, ({ many }) => ({ agents: many(agents) }));
const agentRelations = relations(agents, ({ one }) => ({
  team: one(teams, { fields: [agents.teamId], references: [teams.id] }),
}));
const schema = { teams, agents, teamRelations, agentRelations };
const A = "00000000-0000-4000-8000-00000000000a";
const SETUP = `
CREATE TABLE teams (id int PRIMARY KEY, name text);
CREATE TABLE agents (id int PRIMARY KEY, tenant_id uuid DEFAULT nullif(current_setting('app.tenant_id', true), '')::uuid,
  name text NOT NULL, team_id int REFERENCES teams, state jsonb, seen_at timestamptz);
INSERT INTO teams VALUES (1, NULL), (2, 'blue');
INSERT INTO agents (id, name, team_id, state, seen_at) VALUES (1, 'ada', 1, '{"step": 1}', '2026-01-02 03:04:05+00'), (2, 'bob', NULL, NULL, NULL);`;

describeDatabases((kind, open) => {
  const start = async (observers: readonly UnitObserver[] = []) => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { schema, observers }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test("a prepared query gives the rows that run gives, for each value", async () => {
    await using fixture = await start();
    const agentById = fixture.sessions.prepare((tx) =>
      tx
        .select()
        .from(agents)
        .where(eq(agents.id, sql.placeholder("id"))),
    );
    for (const id of [1, 2, 3, 1]) {
      const expected = await fixture.sessions.run({}, (tx) => tx.select().from(agents).where(eq(agents.id, id)));
      expect(await agentById({}, { id })).toEqual(expected);
    }
    expect((await agentById({}, { id: 1 }))[0]?.seenAt).toEqual(new Date("2026-01-02T03:04:05Z"));
  });

  test("a list is one atomic unit and keeps its shape", async () => {
    await using fixture = await start();
    const hire = fixture.sessions.prepare((tx) => [
      tx
        .insert(agents)
        .values({ id: sql.placeholder("id"), name: sql.placeholder("name"), state: sql.placeholder("state") })
        .returning({ id: agents.id, tenantId: agents.tenantId }),
      tx.select({ name: agents.name, state: agents.state }).from(agents).orderBy(agents.id),
    ]);
    const [inserted, all] = await hire({ tenantId: A }, { id: 3, name: "eve", state: { step: 7 } });
    expect(inserted).toEqual([{ id: 3, tenantId: A }]);
    expect(all.at(-1)).toEqual({ name: "eve", state: { step: 7 } });
    await expect(hire({}, { id: 3, name: "twice", state: null })).rejects.toMatchObject({ code: "UNIQUE_VIOLATION" });
    expect(await fixture.sessions.run({}, (tx) => tx.$count(agents))).toBe(3);
  });

  test("null for a placeholder is NULL, also in columns whose values are encoded", async () => {
    await using fixture = await start();
    const insert = fixture.sessions.prepare((tx) =>
      tx.insert(agents).values({
        id: sql.placeholder("id"),
        name: "eve",
        state: sql.placeholder("state"),
        seenAt: sql.placeholder("seenAt"),
      }),
    );
    await insert({}, { id: 3, state: null, seenAt: null });
    await insert({}, { id: 4, state: { step: 2 }, seenAt: new Date(0) });
    const { rows } = await fixture.database.query(
      "SELECT state IS NULL AS state, seen_at IS NULL AS seen FROM agents WHERE id > 2 ORDER BY id",
    );
    expect(rows).toEqual([
      { state: true, seen: true },
      { state: false, seen: false },
    ]);
  });

  test("inside an open unit it is part of that unit", async () => {
    await using fixture = await start();
    const rename = fixture.sessions.prepare((tx) =>
      tx
        .update(agents)
        .set({ name: sql`${sql.placeholder("name")}` })
        .where(eq(agents.id, sql.placeholder("id")))
        .returning({ name: agents.name }),
    );
    const undone = fixture.sessions.begin({}, async () => {
      expect(await rename({}, { id: 1, name: "ada 2" })).toEqual([{ name: "ada 2" }]);
      throw new Error("no");
    });
    await expect(undone).rejects.toThrow("no");
    expect(await rename({}, { id: 1, name: "ada 3" })).toEqual([{ name: "ada 3" }]);
  });

  test("relational queries and outer joins are decoded as run decodes them", async () => {
    await using fixture = await start();
    const withTeam = fixture.sessions.prepare((tx) =>
      tx.query.agents.findMany({ where: eq(agents.id, sql.placeholder("id")), with: { team: true } }),
    );
    expect(await withTeam({}, { id: 1 })).toMatchObject([{ name: "ada", team: { id: 1, name: null } }]);
    const joined = fixture.sessions.prepare((tx) =>
      tx.select().from(agents).leftJoin(teams, eq(teams.id, agents.teamId)).orderBy(agents.id),
    );
    const rows = await joined({});
    expect(rows.map((row) => row.teams)).toEqual([{ id: 1, name: null }, null]);
    expect(
      await fixture.sessions.run({}, (tx) =>
        tx.select().from(agents).leftJoin(teams, eq(teams.id, agents.teamId)).orderBy(agents.id),
      ),
    ).toEqual(rows);
  });

  test("a joined row whose first selected column is null is still a row", async () => {
    await using fixture = await start();
    const [row] = await fixture.sessions.run({}, (tx) =>
      tx
        .select({ id: agents.id, team: { name: teams.name, id: teams.id } })
        .from(agents)
        .leftJoin(teams, eq(teams.id, agents.teamId))
        .where(eq(agents.id, 1)),
    );
    expect(row).toEqual({ id: 1, team: { name: null, id: 1 } });
  });

  test("readOnly refuses writes", async () => {
    await using fixture = await start();
    const remove = fixture.sessions.prepare((tx) => tx.delete(agents).where(isNull(agents.state)), { readOnly: true });
    await expect(remove({})).rejects.toMatchObject({ code: "READ_ONLY" });
  });

  test("a placeholder without a value, and what is no query of Drizzle's, are refused", async () => {
    await using fixture = await start();
    const byId = fixture.sessions.prepare((tx) =>
      tx
        .select()
        .from(agents)
        .where(eq(agents.id, sql.placeholder("id"))),
    );
    await expect(byId({}, { other: 1 })).rejects.toMatchObject({ code: "INVALID_INPUT", message: /placeholder id/ });
    expect(() => fixture.sessions.prepare((tx) => tx.lock(agents, 1))).toThrow(/query is needed/);
    await expect(byId({ tenantId: "no uuid" }, { id: 1 })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("an aborted signal stops it before anything is sent, and limits of a call hold", async () => {
    await using fixture = await start();
    const limit = fixture.sessions.prepare((tx) =>
      tx
        .select({ limit: sql<string>`current_setting('lock_timeout')` })
        .from(teams)
        .limit(1),
    );
    await expect(limit({}, {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await limit({}, {}, { limits: { lockTimeoutMs: 77 } })).toEqual([{ limit: "77ms" }]);
    expect(fixture.database.leases()).toEqual([]);
  });

  test("observers are told the flush, the caller and the end", async () => {
    const told: string[] = [];
    await using fixture = await start([
      {
        flushed: ({ unit, statements }) => told.push(`${unit.name} ${statements.length} ${unit.openedAt}`),
        ended: ({ outcome }) => told.push(outcome),
      },
    ]);
    const count = fixture.sessions.prepare((tx) => tx.select().from(teams), { name: "teams" });
    await count({});
    expect(told).toEqual([expect.stringMatching(/^teams 1 .*prepare\.test\.ts/), "committed"]);
  });

  test(`a prepared query whose table changed is read anew on ${kind}`, async () => {
    await using fixture = await start();
    const all = fixture.sessions.prepare((tx) => tx.select().from(teams).orderBy(teams.id));
    for (let round = 0; round < 3; round++) await all({});
    await fixture.database.exec("ALTER TABLE teams ALTER COLUMN name TYPE varchar(9)");
    expect(await all({})).toEqual([
      { id: 1, name: null },
      { id: 2, name: "blue" },
    ]);
  });
});

test("a prepared unit is one flush and one Sync, with the context, and describes nothing twice", async () => {
  await using proxied = await proxiedDatabase({ setup: SETUP });
  const sessions = createSessionFactory(proxied.database);
  const byId = sessions.prepare((tx) =>
    tx
      .select()
      .from(agents)
      .where(eq(agents.id, sql.placeholder("id"))),
  );
  for (let round = 0; round < 4; round++) await byId({ tenantId: A }, { id: 1 });
  proxied.proxy.resetCount();
  expect(await byId({ tenantId: A }, { id: 2 })).toHaveLength(1);
  expect(proxied.proxy.flushes).toBe(1);
  expect(proxied.proxy.sequence).toBe("BEBES");
});
