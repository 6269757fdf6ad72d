// The forms of statements for partitioned tables and their partitions that do not hold up a live workload.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { lines, noticesOf, planOf, stepOf } from "./recipes.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

describe("a partition", () => {
  const table = "CREATE TABLE p (at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE c (at date NOT NULL);";
  const rest = "CREATE TABLE d PARTITION OF p DEFAULT;";
  const attach = "ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');";

  test("joins when checks say what the server would read it and the default partition for", async () => {
    const plan = await planOf(database, `${table}${rest}`, `${table}${rest}${attach}`);
    const bound = "(at IS NOT NULL) AND (at >= '2025-01-01') AND (at < '2026-01-01')";
    expect(lines(plan)).toEqual([
      `1 ALTER TABLE c ADD CONSTRAINT c_pgsteward_bound CHECK (${bound}) NOT VALID`,
      "2 ALTER TABLE c VALIDATE CONSTRAINT c_pgsteward_bound",
      `3 ALTER TABLE d ADD CONSTRAINT d_pgsteward_bound CHECK (NOT (${bound})) NOT VALID`,
      "4 ALTER TABLE d VALIDATE CONSTRAINT d_pgsteward_bound",
      "5 ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
      "5 ALTER TABLE c DROP CONSTRAINT c_pgsteward_bound",
      "5 ALTER TABLE d DROP CONSTRAINT d_pgsteward_bound",
    ]);
    expect(stepOf(plan, "ATTACH").locks.some(({ scan }) => scan)).toBe(false);
  });

  test.each([
    ["RANGE (a, b)", "FROM (1, 'm') TO (1, 'z')", "(1, 'n')"],
    ["RANGE (a, b)", "FROM (1, 'm') TO (3, MAXVALUE)", "(3, 'a')"],
    ["RANGE (a, b)", "FROM (MINVALUE, MINVALUE) TO (3, 'd')", "(3, 'a')"],
    ["RANGE (abs(a))", "FROM (1) TO (3)", "(-2, 'x')"],
    ["LIST (lower(b))", "IN ('x', NULL)", "(1, 'X'), (2, NULL)"],
    ["LIST (b)", "IN (NULL)", "(1, NULL)"],
    ["HASH (a)", "WITH (MODULUS 1, REMAINDER 0)", "(1, 'x')"],
  ])("by %s %s joins without being read", async (key, bound, rows) => {
    const parent = `CREATE TABLE p (a integer, b text) PARTITION BY ${key}; CREATE TABLE c (a integer, b text);`;
    const plan = await planOf(database, parent, `${parent} ALTER TABLE p ATTACH PARTITION c FOR VALUES ${bound}`);
    expect(plan.steps.map(({ sql }) => /ATTACH|NOT VALID|VALIDATE|DROP/.exec(sql)?.[0])).toEqual([
      "NOT VALID",
      "VALIDATE",
      "ATTACH",
      "DROP",
    ]);
    expect(stepOf(plan, "ATTACH").locks.filter(({ scan }) => scan)).toEqual([]);
    await database.exec(`INSERT INTO c VALUES ${rows}`);
    expect(await noticesOf(database, plan)).toContain(
      'partition constraint for table "c" is implied by existing constraints',
    );
  });

  test.each([
    ['LIST (b COLLATE "C")', "IN ('x')"],
    ["HASH (b)", "WITH (MODULUS 1, REMAINDER 0)"],
  ])("by %s is read, and the hazard says so", async (key, bound) => {
    const parent = `CREATE TABLE p (b text) PARTITION BY ${key}; CREATE TABLE c (b text);`;
    const plan = await planOf(database, parent, `${parent} ALTER TABLE p ATTACH PARTITION c FOR VALUES ${bound}`);
    expect(plan.steps).toMatchObject([
      {
        hazards: [{ kind: "blocks writes", why: expect.stringContaining("no CHECK proves its bound") as string }],
        locks: expect.arrayContaining([
          { relation: '"public"."c"', mode: "ACCESS EXCLUSIVE", rewrite: false, scan: true },
        ]) as unknown,
      },
    ]);
  });

  test("builds its part of a new key CONCURRENTLY", async () => {
    const tables = `CREATE TABLE p (at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE d PARTITION OF p DEFAULT;`;
    const plan = await planOf(database, tables, `${tables} ALTER TABLE p ADD CONSTRAINT p_at UNIQUE (at);`);
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE ONLY p ADD CONSTRAINT p_at UNIQUE (at)",
      "2! CREATE UNIQUE INDEX CONCURRENTLY d_at_key ON d (at)",
      "3 ALTER TABLE d ADD CONSTRAINT d_at_key UNIQUE USING INDEX d_at_key",
      "3 ALTER INDEX p_at ATTACH PARTITION d_at_key",
    ]);
    expect(plan.steps.flatMap(({ hazards }) => hazards).map(({ kind }) => kind)).toEqual(["may fail"]);
  });

  test("leaves CONCURRENTLY, and at once where a default partition forbids that", async () => {
    expect(lines(await planOf(database, `${table}${attach}`, table))).toEqual([
      "1! ALTER TABLE p DETACH PARTITION c CONCURRENTLY",
      "2 DO",
    ]);
    expect(lines(await planOf(database, `${table}${rest}${attach}`, `${table}${rest}`))).toEqual([
      "1 ALTER TABLE p DETACH PARTITION c",
    ]);
  });
});

describe("a foreign key of a partitioned table", () => {
  const tables = `CREATE TABLE r (id integer PRIMARY KEY); CREATE TABLE p (id integer, at date NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE c PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');`;
  const key = "ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES r(id)";

  test("is proved by each partition before 18", async () => {
    expect(lines(await planOf(database, tables, `${tables}${key}`, 140000))).toEqual([
      "1 ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES r(id) NOT VALID",
      "2 ALTER TABLE c VALIDATE CONSTRAINT f",
      `3 ${key}`,
    ]);
  });

  test("is validated later from 18 on", async () => {
    expect(lines(await planOf(database, tables, `${tables}${key}`, 180000))).toEqual([
      `1 ${key} NOT VALID`,
      "2 ALTER TABLE p VALIDATE CONSTRAINT f",
    ]);
  });
});
