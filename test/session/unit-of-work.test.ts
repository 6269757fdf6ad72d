// Units of work: what they return, what undoes them, what they refuse, and what they leave behind.
import { inspect } from "node:util";
import { eq, sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { describeDatabases } from "../support/test-database.ts";
import { agents, startTeams, namesOf, teams } from "./team-tables.ts";

describeDatabases((kind, open) => {
  const start = () => startTeams(open);

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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "eve"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
  });

  test("a deferred constraint fails the unit at its end", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      await tx.execute(sql`SET CONSTRAINTS ALL DEFERRED`);
      await tx.insert(agents).values({ id: 3, name: "ada" });
    });
    await expect(work).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", constraint: "agents_name_key" });
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "eve", "gil", "hal"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "eve"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "fay"]);
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
    expect(await namesOf(database)).toEqual(["ada", "bob"]);
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
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "eve"]);
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

  test("values that cannot be sent fail their statement alone", async () => {
    await using fixture = await start();
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    await fixture.sessions.begin({}, async (tx) => {
      await tx.insert(agents).values({ id: 3, name: "eve" });
      await expect(tx.execute(sql`SELECT ${circular}::jsonb`)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
    expect(await namesOf(fixture.database)).toEqual(["ada", "bob", "eve"]);
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
    expect(await namesOf(fixture.database)).toHaveLength(2 + 33);
  });
});
