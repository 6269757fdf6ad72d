// Units whose connection is lost: what is run again, what is asked about, and what stays unknown.
import { sql } from "drizzle-orm";
import { describe, expect, test } from "vitest";
import { createSessionFactory } from "../../src/session/index.ts";
import { failureOf } from "../support/failure-of.ts";
import { proxiedDatabase } from "../support/proxied-database.ts";
import { counters, FAST, SETUP } from "./counters.ts";

describe("when the connection is lost", () => {
  const start = async (options: Parameters<typeof createSessionFactory>[1] = {}) => {
    const proxied = await proxiedDatabase({ setup: SETUP });
    const sessions = createSessionFactory(proxied.database, { guard: "off", retry: FAST, ...options });
    return {
      ...proxied,
      sessions,
      value: async () => (await proxied.direct.query("SELECT value FROM counters WHERE id = 1")).rows[0]?.["value"],
      [Symbol.asyncDispose]: () => proxied[Symbol.asyncDispose](),
    };
  };
  const increment = sql`UPDATE counters SET value = value + 1 WHERE id = 1`;

  for (const fault of ["cutBefore", "cutAfter", "swallowReply"] as const) {
    for (const place of ["first", "second"] as const) {
      test(`before COMMIT (${fault} the ${place} statement) the unit is run again`, async () => {
        await using fixture = await start();
        fixture.proxy.inject(fault, place === "first" ? /value \+ 1/ : /SELECT 'second'/);
        let runs = 0;
        await fixture.sessions.begin({}, async (tx) => {
          runs++;
          await tx.execute(increment);
          await tx.execute(sql`SELECT 'second'`);
        });
        expect([runs, await fixture.value()]).toEqual([2, 1]);
        expect(fixture.database.leases()).toEqual([]);
      });
    }

    test(`at COMMIT (${fault}) the server is asked, and the unit has happened exactly once`, async () => {
      await using fixture = await start();
      for (let round = 1; round <= 5; round++) {
        fixture.proxy.inject(fault, /^COMMIT$/);
        const result = await fixture.sessions.begin({}, async (tx) => {
          await tx.execute(increment);
          return "done";
        });
        expect([result, await fixture.value()]).toEqual(["done", round]);
      }
      expect(fixture.proxy.faultsStruck).toBe(5);
      expect(fixture.database.leases()).toEqual([]);
    });

    test(`at COMMIT (${fault}) without the check the outcome is unknown, and nothing is repeated`, async () => {
      await using fixture = await start({ commitCheck: false });
      fixture.proxy.inject(fault, /^COMMIT$/);
      let runs = 0;
      const error = await failureOf(
        fixture.sessions.begin({}, async (tx) => {
          runs++;
          await tx.execute(increment);
        }),
      );
      expect(error).toMatchObject({ code: "COMMIT_OUTCOME_UNKNOWN", cause: { code: "CONNECTION_LOST" } });
      expect(runs).toBe(1);
      expect(fixture.database.leases()).toEqual([]);
    });

    test(`a declared unit (${fault}) is repeated only when that does no harm`, async () => {
      await using fixture = await start();
      fixture.proxy.inject(fault, /value \+ 1/);
      expect(await failureOf(fixture.sessions.run({}, (tx) => tx.execute(increment)))).toMatchObject({
        code: "COMMIT_OUTCOME_UNKNOWN",
      });
      // The server may still be at it; when it is done, it closes its side.
      await expect.poll(() => fixture.proxy.connections.every(({ isOpen }) => !isOpen)).toBe(true);
      fixture.proxy.inject(fault, /value = 100/);
      await fixture.sessions.run({}, (tx) => tx.execute(sql`UPDATE counters SET value = 100 WHERE id = 1`), {
        repeatable: true,
      });
      expect(await fixture.value()).toBe(100);
    });

    test(`a read (${fault}) is run again`, async () => {
      await using fixture = await start();
      fixture.proxy.inject(fault, /FROM counters/);
      const result = await fixture.sessions.read({}, (tx) => tx.execute(sql`SELECT value FROM counters WHERE id = 2`));
      expect(result.rows).toEqual([{ value: 0 }]);
      expect(fixture.proxy.faultsStruck).toBe(1);
    });
  }

  test("a unit whose only write hides in a SELECT has an unknown outcome", async () => {
    await using fixture = await start();
    await fixture.direct.exec(
      "CREATE FUNCTION hidden() RETURNS void LANGUAGE sql AS 'UPDATE counters SET value = value + 1'",
    );
    fixture.proxy.inject("swallowReply", /^COMMIT$/);
    expect(await failureOf(fixture.sessions.begin({}, (tx) => tx.execute(sql`SELECT hidden()`)))).toMatchObject({
      code: "COMMIT_OUTCOME_UNKNOWN",
    });
  });

  test("once an attempt may have been committed, no later failure hides it", async () => {
    await using fixture = await start({ commitCheck: false });
    fixture.proxy.inject("swallowReply", /^COMMIT$/);
    let runs = 0;
    const error = await failureOf(
      fixture.sessions.begin(
        {},
        async (tx) => {
          runs++;
          await tx.execute(increment);
          if (runs > 1) throw new Error("the second time it refuses");
        },
        { repeatable: true },
      ),
    );
    expect(error).toMatchObject({
      code: "COMMIT_OUTCOME_UNKNOWN",
      cause: { message: "the second time it refuses" },
    });
    expect(await fixture.value()).toBe(1);
  });

  test("the question rides along: a unit with one write is still two flushes", async () => {
    await using fixture = await start();
    fixture.proxy.resetCount();
    await fixture.sessions.begin({}, (tx) => tx.execute(increment));
    expect(fixture.proxy.flushes).toBe(2);
    expect(fixture.proxy.texts.filter((each) => each.includes("pg_current_xact_id_if_assigned"))).toHaveLength(1);
    fixture.proxy.resetCount();
    await fixture.sessions.begin({}, (tx) => tx.select().from(counters));
    expect(fixture.proxy.texts.filter((each) => each.includes("pg_current_xact_id_if_assigned"))).toEqual([]);
  });
});
