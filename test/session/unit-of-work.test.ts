import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { eq, sql } from "drizzle-orm";
import { integer, jsonb, pgTable, text, uuid } from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import { expect, test } from "vitest";
import { StewardError } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

const teams = pgTable("teams", { id: integer().primaryKey(), name: text().notNull() });
const agents = pgTable("agents", {
  id: integer().primaryKey(),
  name: text().notNull().unique(),
  team_id: integer(),
  state: jsonb().$type<{ step: number }>(),
});
const teamRelations = relations(teams, ({ many }) => ({ agents: many(agents) }));
const agentRelations = relations(agents, ({ one }) => ({
  team: one(teams, { fields: [agents.team_id], references: [teams.id] }),
}));
const notes = pgTable("notes", { id: integer().primaryKey(), tenant_id: uuid().notNull(), body: text().notNull() });
const schema = { teams, agents, notes, teamRelations, agentRelations };

const SETUP = `
CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE agents (id int PRIMARY KEY, name text NOT NULL CONSTRAINT agents_name_key UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
  team_id int REFERENCES teams, state jsonb);
CREATE TABLE notes (id int PRIMARY KEY, tenant_id uuid NOT NULL, body text NOT NULL);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notes USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
DO $$ BEGIN CREATE ROLE unit_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON notes, agents, teams TO unit_test_app;
INSERT INTO teams VALUES (1, 'red'), (2, 'blue');
INSERT INTO agents VALUES (1, 'ada', 1, '{"step": 1}'), (2, 'bob', 1, NULL);
INSERT INTO notes VALUES (1, '00000000-0000-4000-8000-00000000000a', 'of a'), (2, '00000000-0000-4000-8000-00000000000b', 'of b');`;
const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

describeDatabases((kind, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { schema, guard: "off" }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };
  const names = async (database: Awaited<ReturnType<typeof open>>) =>
    (await database.query<{ name: string }>("SELECT name FROM agents ORDER BY id")).rows.map(({ name }) => name);

  test("run returns the typed rows of one query", async () => {
    await using fixture = await start();
    const rows = await fixture.sessions.run({}, (tx) => tx.select().from(agents).where(eq(agents.id, 1)));
    expect(rows).toEqual([{ id: 1, name: "ada", team_id: 1, state: { step: 1 } }]);
  });

  test("run of a list is atomic and keeps its shape", async () => {
    await using fixture = await start();
    const [inserted, all] = await fixture.sessions.run({}, (tx) => [
      tx.insert(agents).values({ id: 3, name: "eve" }).returning({ id: agents.id }),
      tx.select({ name: agents.name }).from(agents).orderBy(agents.id),
    ]);
    expect(inserted).toEqual([{ id: 3 }]);
    expect(all.map(({ name }) => name)).toEqual(["ada", "bob", "eve"]);
    await expect(
      fixture.sessions.run({}, (tx) => [
        tx.insert(agents).values({ id: 4, name: "fay" }),
        tx.insert(agents).values({ id: 5, name: "ada" }),
      ]),
    ).rejects.toMatchObject({
      code: "UNIQUE_VIOLATION",
      constraint: "agents_name_key",
      table: "agents",
      columns: ["name"],
      statementIndex: 1,
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "eve"]);
  });

  test("an empty list runs nothing", async () => {
    await using fixture = await start();
    expect(await fixture.sessions.run({}, () => [])).toEqual([]);
  });

  test("run refuses an async function and something that is no query", async () => {
    await using fixture = await start();
    await expect(fixture.sessions.run({}, async (tx) => await tx.select().from(agents))).rejects.toMatchObject({
      code: "INVALID_INPUT",
    });
    await expect(fixture.sessions.run({}, () => [1 as never])).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(fixture.database.poolFigures().total - fixture.database.poolFigures().idle).toBe(0);
  });

  test("begin commits what its statements did", async () => {
    await using fixture = await start();
    const name = await fixture.sessions.begin({}, async (tx) => {
      const [row] = await tx.insert(agents).values({ id: 3, name: "eve" }).returning();
      await tx
        .update(agents)
        .set({ team_id: 2 })
        .where(eq(agents.id, row?.id ?? 0));
      return row?.name;
    });
    expect(name).toBe("eve");
    expect((await fixture.database.query("SELECT team_id FROM agents WHERE id = 3")).rows).toEqual([{ team_id: 2 }]);
  });

  test("an error of the function rolls back and reaches the caller as it is", async () => {
    await using fixture = await start();
    const failure = new Error("the agent gave up");
    const work = fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      throw failure;
    });
    await expect(work).rejects.toBe(failure);
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a swallowed statement error rejects the unit instead of reporting success", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      await tx
        .insert(agents)
        .values({ id: 4, name: "ada" })
        .catch(() => undefined);
      return "fine";
    });
    await expect(work).rejects.toMatchObject({ code: "SILENT_ROLLBACK", cause: { code: "UNIQUE_VIOLATION" } });
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a transaction cannot be ended by hand inside the unit", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      await expect(tx.execute(sql`ROLLBACK`)).rejects.toMatchObject({ code: "INVALID_INPUT" });
      for (const hidden of ["/* a */ ROLLBACK", "/* a /* b */ */\nCOMMIT", "-- a\n ; -- b\r\nEND", " ;/**/--\nabort"])
        await expect(tx.execute(sql.raw(hidden))).rejects.toMatchObject({ code: "INVALID_INPUT" });
      await tx.execute(sql`/* ROLLBACK */ -- COMMIT
        SELECT 1`);
      throw new Error("undone");
    });
    await expect(work).rejects.toThrow("undone");
    const list = fixture.sessions.run({}, (tx) => [
      tx.insert(agents).values({ id: 3, name: "eve" }),
      tx.execute(sql`/* a */ COMMIT`),
    ]);
    await expect(list).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("statements after a failed one name it as their cause", async () => {
    await using fixture = await start();
    const ends: PromiseSettledResult<unknown>[] = [];
    const work = fixture.sessions.begin({}, async (tx) => {
      ends.push(...(await Promise.allSettled([tx.execute(sql`SELECT nothing FROM nowhere`)])));
      ends.push(...(await Promise.allSettled([tx.select().from(agents)])));
    });
    await expect(work).rejects.toMatchObject({ code: "SILENT_ROLLBACK" });
    expect(ends).toMatchObject([
      { reason: { code: "INVALID_SQL", sqlState: "42P01" } },
      { reason: { code: "UNIT_FAILED", cause: { sqlState: "42P01" } } },
    ]);
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a deferred constraint fails the unit at its end", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      await tx.execute(sql`SET CONSTRAINTS ALL DEFERRED`);
      await tx.insert(agents).values({ id: 3, name: "ada" });
    });
    await expect(work).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", constraint: "agents_name_key" });
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
    expect(fixture.database.leases()).toEqual([]);
  });

  test("a nested unit that fails undoes its own statements only", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      await expect(
        tx.begin(async (inner) => {
          await inner.insert(agents).values({ id: 4, name: "fay" });
          await inner.insert(agents).values({ id: 5, name: "ada" });
        }),
      ).rejects.toMatchObject({ code: "UNIQUE_VIOLATION" });
      await tx.begin((inner) => inner.insert(agents).values({ id: 6, name: "gil" }));
      await tx.insert(agents).values({ id: 7, name: "hal" });
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "eve", "gil", "hal"]);
  });

  test("a swallowed error inside a nested unit rejects that nested unit", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      await expect(
        tx.begin(async (inner) => {
          await inner.insert(agents).values({ id: 4, name: "fay" });
          await inner
            .insert(agents)
            .values({ id: 5, name: "ada" })
            .catch(() => undefined);
        }),
      ).rejects.toMatchObject({ code: "SILENT_ROLLBACK" });
      await tx.insert(agents).values({ id: 3, name: "eve" });
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "eve"]);
  });

  test("nested units started together run one after the other", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const outcomes = await Promise.allSettled([
        tx.begin(async (inner) => {
          await inner.insert(agents).values({ id: 3, name: "eve" });
          await inner.insert(agents).values({ id: 4, name: "ada" });
        }),
        tx.begin(async (inner) => {
          await inner.insert(agents).values({ id: 5, name: "fay" });
        }),
      ]);
      expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "fay"]);
  });

  test("the outer handles join the unit that is open", async () => {
    await using fixture = await start();
    const { database, sessions } = fixture;
    const failure = new Error("stop");
    const work = sessions.begin({}, async () => {
      await database.query("INSERT INTO agents (id, name) VALUES ($1, $2)", [3, "eve"]);
      await database.exec("INSERT INTO agents (id, name) VALUES (4, 'fay')");
      await sessions.run({}, (tx) => tx.insert(agents).values({ id: 5, name: "gil" }));
      await sessions.begin({}, (tx) => tx.insert(agents).values({ id: 6, name: "hal" }));
      expect((await database.query("SELECT count(*)::int AS count FROM agents")).rows).toEqual([{ count: 6 }]);
      throw failure;
    });
    await expect(work).rejects.toBe(failure);
    expect(await names(database)).toEqual(["ada", "bob"]);
  });

  test("a second connection inside a unit is refused at once", async () => {
    await using fixture = await start();
    await expect(fixture.sessions.begin({}, () => fixture.database.connect())).rejects.toMatchObject({
      code: "NESTED_CHECKOUT",
    });
  });

  test("a unit used after its end is an error, also inside another unit", async () => {
    await using fixture = await start();
    let leaked: Parameters<Parameters<typeof fixture.sessions.begin>[1]>[0] | undefined;
    await fixture.sessions.begin({}, async (tx) => {
      leaked = tx;
      await tx.select().from(agents);
    });
    const late = leaked;
    if (late === undefined) throw new Error("the unit did not run");
    await expect(late.select().from(agents)).rejects.toMatchObject({ code: "UNIT_CLOSED" });
    await fixture.sessions.begin({}, async () => {
      await expect(late.select().from(agents)).rejects.toMatchObject({ code: "UNIT_CLOSED" });
    });
  });

  test("a query that was started and not awaited is part of the unit", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, (tx) => {
      void tx.insert(agents).values({ id: 3, name: "eve" }).execute();
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "eve"]);
  });

  test("read is read-only, declared and interactive", async () => {
    await using fixture = await start();
    const { sessions } = fixture;
    expect(await sessions.read({}, (tx) => tx.select({ id: agents.id }).from(agents))).toEqual([{ id: 1 }, { id: 2 }]);
    expect(
      await sessions.read({}, async (tx) => {
        const [first] = await tx.select().from(agents).limit(1);
        return first?.name;
      }),
    ).toBe("ada");
    await expect(sessions.read({}, (tx) => tx.insert(agents).values({ id: 3, name: "eve" }))).rejects.toMatchObject({
      code: "READ_ONLY",
    });
    await expect(
      sessions.read({}, async (tx) => {
        await tx.insert(agents).values({ id: 3, name: "eve" });
      }),
    ).rejects.toMatchObject({ code: "READ_ONLY" });
    await sessions.run({}, (tx) => tx.insert(agents).values({ id: 3, name: "eve" }));
  });

  test("relations load through the relational query", async () => {
    await using fixture = await start();
    const team = await fixture.sessions.run({}, (tx) =>
      tx.query.teams.findFirst({ where: eq(teams.id, 1), with: { agents: true } }),
    );
    expect(team?.agents.map(({ name }) => name).toSorted()).toEqual(["ada", "bob"]);
  });

  test("a prepared statement whose result changed under it is read anew", async () => {
    await using fixture = await start();
    const read = () => fixture.sessions.run({}, (tx) => tx.execute(sql`SELECT * FROM teams ORDER BY id LIMIT 1`));
    for (let round = 0; round < 4; round++) expect((await read()).rows).toEqual([{ id: 1, name: "red" }]);
    await fixture.database.exec(
      "ALTER TABLE teams ALTER COLUMN name TYPE varchar(9), ADD COLUMN motto text DEFAULT 'go'",
    );
    expect((await read()).rows).toEqual([{ id: 1, name: "red", motto: "go" }]);
  });

  test("rows are locked with for('update')", async () => {
    await using fixture = await start();
    const locked = await fixture.sessions.begin({}, (tx) =>
      tx.select().from(agents).where(eq(agents.id, 1)).for("update"),
    );
    expect(locked).toHaveLength(1);
  });

  test("tenant and role hold for the unit and are gone after it", async () => {
    await using fixture = await start();
    const sessions = createSessionFactory(fixture.database, { schema, role: "unit_test_app", guard: "off" });
    const bodies = (rows: { body: string }[]) => rows.map(({ body }) => body);
    expect(bodies(await sessions.run({ tenantId: A }, (tx) => tx.select().from(notes)))).toEqual(["of a"]);
    expect(bodies(await sessions.begin({ tenantId: B }, (tx) => tx.select().from(notes)))).toEqual(["of b"]);
    expect(bodies(await sessions.run({}, (tx) => tx.select().from(notes)))).toEqual([]);
    const write = sessions.run({ tenantId: A }, (tx) =>
      tx.insert(notes).values({ id: 3, tenant_id: B, body: "smuggled" }),
    );
    await expect(write).rejects.toMatchObject({ code: "INSUFFICIENT_PRIVILEGE" });
    const { rows } = await fixture.database.query(
      "SELECT current_setting('app.tenant_id', true) AS tenant, current_user::text AS who",
    );
    expect(rows[0]?.["tenant"]).toBeOneOf([null, ""]);
    expect(rows[0]?.["who"]).not.toBe("unit_test_app");
  });

  test("the context travels as values, whatever it holds", async () => {
    await using fixture = await start();
    const actorId = `'; DROP TABLE agents; --"\\ \u{1f642}`;
    const result = await fixture.sessions.run({ actorId, requestId: "r-1" }, (tx) =>
      tx.execute<{ actor: string; request: string }>(
        sql`SELECT current_setting('app.actor_id') AS actor, current_setting('app.request_id') AS request`,
      ),
    );
    expect(result.rows).toEqual([{ actor: actorId, request: "r-1" }]);
  });

  test("a context that cannot be used is refused before anything is sent", async () => {
    await using fixture = await start();
    const acquired = fixture.database.poolFigures().acquired;
    const bad = [{ tenantId: "acme" }, { tenantId: "" }, { actorId: "a\0b" }, { tenant: A }, { actorId: 7 }, null];
    for (const context of bad) {
      await expect(fixture.sessions.run(context as never, (tx) => tx.select().from(agents))).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
    }
    expect(fixture.database.poolFigures().acquired).toBe(acquired);
  });

  test("a nested unit cannot change tenant", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({ tenantId: A }, () =>
      fixture.sessions.run({ tenantId: B }, (tx) => tx.select().from(notes)),
    );
    await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("an unknown role fails the unit and leaves the pool clean", async () => {
    await using fixture = await start();
    await expect(
      fixture.sessions.run({ role: "no_such_role" }, (tx) => tx.select().from(agents)),
    ).rejects.toMatchObject({ sqlState: "22023" });
    expect(fixture.database.leases()).toEqual([]);
    await fixture.sessions.run({}, (tx) => tx.select().from(agents));
  });

  test("values that cannot be sent fail their statement alone", async () => {
    await using fixture = await start();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      await expect(tx.execute(sql`SELECT ${circular}::jsonb`)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
    expect(await names(fixture.database)).toEqual(["ada", "bob", "eve"]);
  });

  test("error messages never hold parameters", async () => {
    await using fixture = await start();
    const secret = "s3cr3t-value";
    const failures = [
      fixture.sessions.run({}, (tx) => tx.execute(sql`SELECT ${secret}::uuid`)),
      fixture.sessions.run({}, (tx) => tx.execute(sql`SELECT ${secret}::int`)),
      fixture.sessions.run({}, (tx) =>
        tx.execute(sql`INSERT INTO agents (id, name) VALUES (9, ${secret}), (10, ${secret})`),
      ),
      fixture.sessions.run({}, (tx) =>
        tx.execute(sql`INSERT INTO agents (id, name, team_id) VALUES (9, ${secret}, 99)`),
      ),
    ];
    for (const outcome of await Promise.allSettled(failures)) {
      const error: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
      expect(error).toBeInstanceOf(Error);
      expect(inspect(error, { depth: 10 })).not.toContain(secret);
      expect(JSON.stringify(error)).not.toContain(secret);
    }
  });

  test("isolation levels are applied to declared and interactive units", async () => {
    await using fixture = await start();
    const level = sql`SELECT current_setting('transaction_isolation') AS level`;
    const declared = await fixture.sessions.run({}, (tx) => tx.execute<{ level: string }>(level), {
      isolation: "serializable",
    });
    const interactive = await fixture.sessions.begin({}, (tx) => tx.execute<{ level: string }>(level), {
      isolation: "repeatable read",
    });
    expect([declared.rows[0]?.level, interactive.rows[0]?.level]).toEqual(["serializable", "repeatable read"]);
  });

  test("limits reach the server in the same transaction", async () => {
    await using fixture = await start();
    const { rows } = await fixture.sessions.run(
      {},
      (tx) =>
        tx.execute(sql`SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l,
        current_setting('idle_in_transaction_session_timeout') AS i, current_setting('transaction_timeout', true) AS t`),
      {
        limits: {
          statementTimeoutMs: 1_100,
          lockTimeoutMs: 1_200,
          idleInTransactionTimeoutMs: 1_300,
          unitTimeoutMs: 1_400,
        },
      },
    );
    // The embedded database cannot end a session: there the last two are kept by the unit itself.
    const kept = fixture.database.kind === "pglite" ? { i: "0", t: "0" } : { i: "1300ms", t: "1400ms" };
    expect(rows).toEqual([{ s: "1100ms", l: "1200ms", ...kept }]);
    await expect(
      fixture.sessions.run({}, (tx) => tx.select().from(agents), { limits: { statementTimeoutMs: -1 } }),
    ).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("a unit over its limit is rolled back and its caller hears of it while it waits for something else", async () => {
    await using fixture = await start();
    let release: (() => void) | undefined;
    const slowCall = new Promise<void>((resolve) => {
      release = resolve;
    });
    const work = fixture.sessions.begin(
      {},
      async (tx) => {
        await tx.insert(agents).values({ id: 3, name: "eve" });
        await slowCall;
      },
      { limits: { unitTimeoutMs: 150 } },
    );
    await expect(work).rejects.toMatchObject({ code: "UNIT_TOO_LONG" });
    expect(fixture.database.leases()).toEqual([]);
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
    release?.();
  });

  test("a warning callback that throws takes no limit away from any unit", async () => {
    await using fixture = await start();
    const sessions = createSessionFactory(fixture.database, {
      guard: "off",
      onWarning: () => {
        throw new Error("of the program");
      },
    });
    const work = sessions.begin(
      {},
      async (tx) => {
        await tx.select().from(agents);
        await sleep(2_000);
      },
      { limits: { gapWarningMs: 20, unitTimeoutMs: 150 } },
    );
    await expect(work).rejects.toMatchObject({ code: "UNIT_TOO_LONG" });
  });

  test("a unit that sends nothing for longer than the idle limit is rolled back, and the database goes on", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin(
      {},
      async (tx) => {
        await tx.insert(agents).values({ id: 3, name: "eve" });
        await sleep(200);
        await tx.select().from(agents);
      },
      { limits: { idleInTransactionTimeoutMs: 50 }, retry: false },
    );
    await expect(work).rejects.toMatchObject({ code: "TRANSACTION_TIMEOUT" });
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a unit that kept the process busy past its limits leaves the database usable", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin(
      {},
      async (tx) => {
        await tx.insert(agents).values({ id: 3, name: "eve" });
        const end = performance.now() + 150;
        while (performance.now() < end) Math.sqrt(end);
        await tx.select().from(agents);
      },
      { limits: { unitTimeoutMs: 60, idleInTransactionTimeoutMs: 50 } },
    );
    await expect(work).rejects.toBeInstanceOf(StewardError);
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a unit that kept the process busy past its limit is not committed", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin(
      {},
      async (tx) => {
        await tx.insert(agents).values({ id: 3, name: "eve" });
        const end = performance.now() + 150;
        while (performance.now() < end) Math.sqrt(end);
      },
      { limits: { unitTimeoutMs: 100 } },
    );
    await expect(work).rejects.toMatchObject({ code: "UNIT_TOO_LONG" });
    expect(await names(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("gaps between statements and long units are warned about", async () => {
    await using fixture = await start();
    const warnings: string[] = [];
    const sessions = createSessionFactory(fixture.database, {
      guard: "off",
      limits: { gapWarningMs: 30, unitWarningMs: 60 },
      onWarning: (warning) => warnings.push(`${warning.kind}: ${warning.name}`),
    });
    await sessions.begin(
      {},
      async (tx) => {
        await tx.execute(sql`SELECT 1`);
        await new Promise((resolve) => setTimeout(resolve, 150));
      },
      { name: "think" },
    );
    expect(warnings.toSorted()).toEqual(["gap between statements: think", "unit open for long: think"]);
  });

  test(`nothing stays leased after many units on ${kind}`, async () => {
    await using fixture = await start();
    await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        fixture.sessions
          .begin({}, async (tx) => {
            await tx.insert(agents).values({ id: 100 + index, name: `agent ${index}` });
            if (index % 3 === 0) throw new Error("every third gives up");
          })
          .catch(() => undefined),
      ),
    );
    expect(fixture.database.leases()).toEqual([]);
    expect(await names(fixture.database)).toHaveLength(2 + 33);
  });
});
