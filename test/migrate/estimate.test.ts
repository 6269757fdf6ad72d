// Times of plans by the sizes of tables.
import { expect, test } from "vitest";
import { readCatalog } from "../../src/catalog/index.ts";
import { durationText, estimatePlan, planMigration, tableSizes, WORK_RATES } from "../../src/migrate/index.ts";
import { testDatabase } from "../support/test-database.ts";

const BEFORE = `
CREATE TABLE orders (id integer PRIMARY KEY, total integer, note text);
CREATE TABLE events (id integer, at date NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');`;

test("a rewrite is as long as its table and indexes, and its lock is held to the end of the transaction", async () => {
  await using database = await testDatabase({
    setup: `${BEFORE}
INSERT INTO orders SELECT g, g, repeat('x', 50) FROM generate_series(1, 20000) AS g;
INSERT INTO events SELECT g, DATE '2020-06-01' + g % 300 FROM generate_series(1, 3000) AS g; ANALYZE;`,
  });
  const before = await readCatalog(database);
  await using other = await testDatabase({
    setup: `${BEFORE.replace("total integer", "total bigint CHECK (total > 0), state text NOT NULL DEFAULT 'new'").replace("(id integer, at", "(id bigint, at")} CREATE INDEX orders_total ON orders (total);`,
  });
  const sizes = tableSizes(before);
  expect(sizes.get('"public"."orders"')).toMatchObject({ rows: 20_000, indexes: 1, partitions: [] });
  expect(sizes.get('"public"."events"')).toMatchObject({
    rows: 3_000,
    partitions: ['"public"."events_1"', '"public"."events_2"'],
  });
  const plan = planMigration(before, await readCatalog(other));
  const { steps, warnings, assumptions } = estimatePlan(plan, sizes, { maxLockMs: 100 });
  const orders = sizes.get('"public"."orders"');
  const rewrite = plan.steps.findIndex(({ sql }) => /orders.* TYPE bigint/.test(sql));
  const seconds = (orders?.bytes ?? 0) / WORK_RATES.rewriteBytesPerSecond + 20_000 / WORK_RATES.indexRowsPerSecond;
  expect(steps[rewrite]?.workMs).toBe(Math.ceil(seconds * 1_000 + 5));
  expect(steps[rewrite]?.locks).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        relation: '"public"."orders"',
        mode: "ACCESS EXCLUSIVE",
        rows: 20_000,
        blocksWrites: true,
      }),
    ]),
  );
  const inGroup = steps.filter(
    (_, index) => plan.steps[index]?.transactionGroup === plan.steps[rewrite]?.transactionGroup,
  );
  const heldFromFirst = inGroup[0]?.locks[0]?.heldMs;
  expect(heldFromFirst).toBe(inGroup.reduce((sum, { workMs }) => sum + (workMs ?? 0), 0));
  expect(warnings.join("\n")).toMatch(
    /step \d+ holds ACCESS EXCLUSIVE on "public"."orders" for about \d+ ms, longer than 100 ms/,
  );
  expect(warnings.join("\n")).not.toContain("SHARE UPDATE EXCLUSIVE");
  expect(assumptions[0]).toContain("tables are read at 250 MB/s");
});

test("what was never measured is unknown and not zero", async () => {
  await using database = await testDatabase({ setup: "CREATE TABLE t (a integer); INSERT INTO t VALUES (1);" });
  await using other = await testDatabase({ setup: "CREATE TABLE t (a bigint);" });
  const before = await readCatalog(database);
  const plan = planMigration(before, await readCatalog(other));
  const rewriting = plan.steps.findIndex(({ locks }) => locks.some(({ rewrite }) => rewrite));
  expect(estimatePlan(plan, new Map()).steps[rewriting]).toMatchObject({
    workMs: undefined,
    locks: [{ rows: undefined, bytes: undefined, heldMs: undefined }],
  });
  expect(estimatePlan(plan, tableSizes(before)).steps[rewriting]?.locks[0]).toMatchObject({ rows: undefined });
  expect(() => estimatePlan(plan, new Map(), { rates: { ...WORK_RATES, scanBytesPerSecond: 0 } })).toThrow("above 0");
});

test("durations are written in the unit that suits them", () => {
  expect([7, 1_500, 60_000, 600_000, 9_000_000].map(durationText)).toEqual([
    "7 ms",
    "1.5 s",
    "60 s",
    "10 min",
    "2.5 h",
  ]);
});
