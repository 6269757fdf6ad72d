// What holds for one unit and is gone after it: tenant, role and context, isolation, limits, and the signal that ends it.
import { setTimeout as sleep } from "node:timers/promises";
import { sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { StewardError } from "../../src/postgres/index.ts";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { describeDatabases } from "../support/test-database.ts";
import { A, agents, B, notes, startTeams, namesOf, TEAM_SCHEMA } from "./team-tables.ts";

describeDatabases((kind, open) => {
  const start = () => startTeams(open);
  // The server keeps the same limit, from a moment later on; on a busy machine its word may be heard first.
  const tooLong = { code: expect.toBeOneOf(["UNIT_TOO_LONG", ...(kind === "server" ? ["TRANSACTION_TIMEOUT"] : [])]) };

  test("tenant and role hold for the unit and are gone after it", async () => {
    await using fixture = await start();
    const sessions = createSessionFactory(fixture.database, {
      schema: TEAM_SCHEMA,
      role: "unit_test_app",
      guard: "off",
    });
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
          statementTimeoutMs: 61_100,
          lockTimeoutMs: 61_200,
          idleInTransactionTimeoutMs: 61_300,
          unitTimeoutMs: 61_400,
        },
      },
    );
    // The embedded database cannot end a session: there the last two are kept by the unit itself.
    const kept = fixture.database.kind === "pglite" ? { i: "0", t: "0" } : { i: "61300ms", t: "61400ms" };
    expect(rows).toEqual([{ s: "61100ms", l: "61200ms", ...kept }]);
    const wrong = [{ statementTimeoutMs: -1 }, { toString: 5 } as object];
    for (const limits of wrong)
      await expect(fixture.sessions.run({}, (tx) => tx.select().from(agents), { limits })).rejects.toMatchObject({
        code: "INVALID_INPUT",
      });
    // Programs whose compiler tells undefined from nothing cannot write it; others do.
    const limits = { lockTimeoutMs: undefined } as object;
    await fixture.sessions.run({}, (tx) => tx.select().from(agents), { limits });
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
    await expect(work).rejects.toMatchObject(tooLong);
    expect(fixture.database.leases()).toEqual([]);
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    await expect(work).rejects.toMatchObject(tooLong);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    await expect(work).rejects.toMatchObject(tooLong);
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    // Once each, or more often where the machine lets a statement wait for long.
    expect([...new Set(warnings)].toSorted()).toEqual(["gap between statements: think", "unit open for long: think"]);
  });

  test("a unit that is aborted before it begins asks for nothing", async () => {
    await using fixture = await start();
    const { database, sessions } = fixture;
    const { acquired } = database.poolFigures();
    const signal = AbortSignal.abort(new Error("too late"));
    const failures = [
      failureOf(sessions.run({}, (tx) => tx.insert(agents).values({ id: 3, name: "eve" }), { signal })),
      failureOf(sessions.begin({}, (tx) => tx.insert(agents).values({ id: 3, name: "eve" }), { signal })),
      failureOf(sessions.read({}, (tx) => tx.select().from(agents), { signal })),
    ];
    for (const failure of failures) expect(await failure).toMatchObject({ code: "CANCELLED" });
    expect(database.poolFigures().acquired).toBe(acquired);
    expect(await namesOf(database)).toEqual(["ada", "bob"]);
  });

  test(`a unit that is aborted between two statements is rolled back on ${kind}`, async () => {
    await using fixture = await start();
    const { database, sessions } = fixture;
    const stop = new AbortController();
    const failure = failureOf(
      sessions.begin(
        {},
        async (tx) => {
          await tx.insert(agents).values({ id: 3, name: "eve" });
          stop.abort();
          await new Promise(() => undefined);
        },
        { signal: stop.signal },
      ),
    );
    expect(await failure).toMatchObject({ code: "CANCELLED" });
    await expect.poll(() => database.leases()).toEqual([]);
    expect(await namesOf(database)).toEqual(["ada", "bob"]);
    expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  });

  test(`a signal that fires after the unit's end does nothing on ${kind}`, async () => {
    await using fixture = await start();
    const { database, sessions } = fixture;
    const stop = new AbortController();
    await sessions.begin({}, (tx) => tx.insert(agents).values({ id: 3, name: "eve" }), { signal: stop.signal });
    stop.abort();
    expect(await sessions.run({}, (tx) => tx.select().from(agents))).toHaveLength(3);
    expect(database.poolFigures()).toMatchObject({ total: 1, idle: 1, waiting: 0 });
  });
});
