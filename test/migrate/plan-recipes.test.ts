// The forms of statements that do not hold up a live workload: which come, by server version, with their locks and what undoes them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareCatalogs, readCatalog } from "../../src/catalog/index.ts";
import { planMigration } from "../../src/migrate/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { applyPlan, CORPUS } from "./corpus.ts";
import { catalogOf, lines, planOf } from "./recipes.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

describe("NOT NULL", () => {
  const before = "CREATE TABLE t (a integer)";
  const after = "CREATE TABLE t (a integer CONSTRAINT t_a_nn NOT NULL)";

  test.each([140000, 170000])("on %i is proved by a CHECK that goes again", async (version) => {
    expect(lines(await planOf(database, before, after, version))).toEqual([
      "1 ALTER TABLE t ADD CONSTRAINT t_a_nn CHECK (a IS NOT NULL) NOT VALID",
      "2 ALTER TABLE t VALIDATE CONSTRAINT t_a_nn",
      "3 ALTER TABLE t ALTER COLUMN a SET NOT NULL",
      "3 ALTER TABLE t DROP CONSTRAINT t_a_nn",
    ]);
  });

  test("is proved under a name that no other constraint of the table has", async () => {
    const plan = await planOf(database, "CREATE TABLE t (a integer CONSTRAINT t_a_nn CHECK (a > 0))", after, 170000);
    const statements = lines(plan).map((line) => line.slice(line.indexOf(" ") + 1));
    expect(statements).toContain("ALTER TABLE t ADD CONSTRAINT t_a_nn_check CHECK (a IS NOT NULL) NOT VALID");
  });

  test("on 18 is a constraint that is validated later, and only the validation reads the table", async () => {
    const plan = await planOf(database, before, after, 180000);
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE t ADD CONSTRAINT t_a_nn NOT NULL a NOT VALID",
      "2 ALTER TABLE t VALIDATE CONSTRAINT t_a_nn",
    ]);
    expect(plan.steps.map(({ locks }) => locks)).toEqual([
      [{ relation: '"public"."t"', mode: "ACCESS EXCLUSIVE", rewrite: false, scan: false }],
      [{ relation: '"public"."t"', mode: "SHARE UPDATE EXCLUSIVE", rewrite: false, scan: true }],
    ]);
  });
});

describe("a type change", () => {
  test("that needs a rewrite says so, and a column of a new domain with a condition does", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (a varchar(10), b integer)",
      "CREATE TABLE t (a varchar(20), b bigint)",
    );
    expect(plan.steps.map(({ locks, hazards }) => [locks[0]?.rewrite, hazards.map(({ kind }) => kind)])).toEqual([
      [false, []],
      [true, ["rewrite"]],
    ]);
    const domain = await planOf(
      database,
      "CREATE TABLE t ()",
      "CREATE DOMAIN p AS int CHECK (value > 0); CREATE TABLE t (a p)",
    );
    expect(domain.steps.at(-1)?.locks[0]?.rewrite).toBe(true);
  });
});

describe("a type that holds less", () => {
  test.each([
    ["numeric(10,4)", "numeric(10,2)", "what follows the 2 decimal places of public.t.a is gone"],
    ["numeric", "integer", "what follows the decimal point of public.t.a is gone"],
    ["timestamptz", "date", "the time of day of public.t.a is gone"],
  ])("%s to %s names what is lost", async (from, to, why) => {
    const plan = await planOf(database, `CREATE TABLE t (a ${from})`, `CREATE TABLE t (a ${to})`);
    expect(plan.steps[0]?.hazards).toContainEqual({ kind: "data loss", why });
  });

  test("refuses a text that is too long, instead of cutting it", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (a text); INSERT INTO t VALUES ('long')",
      "CREATE TABLE t (a varchar(3))",
    );
    await expect(applyPlan(database, plan)).rejects.toThrow("value too long for type character varying(3)");
  });
});

describe("a column with a default that differs by row", () => {
  test("is added empty, filled in pieces, then made NOT NULL", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (id integer); INSERT INTO t SELECT generate_series(1, 5000)",
      "CREATE TABLE t (id integer, token uuid CONSTRAINT t_nn NOT NULL DEFAULT gen_random_uuid())",
    );
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE t ADD COLUMN token uuid",
      "1 ALTER TABLE t ALTER COLUMN token SET DEFAULT gen_random_uuid()",
      "2! DO",
      "3 ALTER TABLE t ADD CONSTRAINT t_nn NOT NULL token NOT VALID",
      "4 ALTER TABLE t VALIDATE CONSTRAINT t_nn",
    ]);
    expect(plan.steps[2]).toMatchObject({
      kind: "backfill",
      backfill: { schema: "public", table: "t", set: '"token" = gen_random_uuid()', where: '"token" IS NULL' },
      locks: [{ mode: "ROW EXCLUSIVE", rewrite: false }],
    });
    await applyPlan(database, plan);
    const { rows } = await database.query("SELECT count(DISTINCT token)::int AS tokens FROM t");
    expect(rows).toEqual([{ tokens: 5000 }]);
  });

  test("that is the same for every row is added at once", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (id integer)",
      "CREATE TABLE t (id integer, at timestamptz NOT NULL DEFAULT now())",
    );
    expect(plan.steps).toHaveLength(1);
    expect(plan.steps[0]?.locks[0]?.rewrite).toBe(false);
  });
});

describe("an index or key that changes", () => {
  test("is built beside the old one before that goes", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (a integer, b integer); CREATE INDEX i ON t (a)",
      "CREATE TABLE t (a integer, b integer); CREATE INDEX i ON t (a, b)",
    );
    expect(lines(plan)).toEqual([
      "1! CREATE INDEX CONCURRENTLY i_pgsteward_new ON t USING btree (a, b)",
      "2! DROP INDEX CONCURRENTLY i",
      "3 ALTER INDEX i_pgsteward_new RENAME TO i",
    ]);
  });

  test("is exchanged by one statement when it is a constraint", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (a integer, b integer, CONSTRAINT k UNIQUE (a))",
      "CREATE TABLE t (a integer, b integer, CONSTRAINT k UNIQUE (a, b))",
    );
    expect(lines(plan)).toEqual([
      "1! CREATE UNIQUE INDEX CONCURRENTLY k_pgsteward_new ON t (a, b)",
      "2 ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE USING INDEX k_pgsteward_new",
    ]);
  });

  test("of a table moves to another column under another name without a moment in which there is none", async () => {
    const table = (key: string): string => `CREATE TABLE t (id integer NOT NULL, k integer NOT NULL, ${key});`;
    const plan = await planOf(
      database,
      table("CONSTRAINT t_pk PRIMARY KEY (id)"),
      table("CONSTRAINT t_k_pk PRIMARY KEY (k)"),
    );
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE t RENAME CONSTRAINT t_pk TO t_k_pk",
      "2! CREATE UNIQUE INDEX CONCURRENTLY t_k_pk_pgsteward_new ON t (k)",
      "3 ALTER TABLE t DROP CONSTRAINT t_k_pk, ADD CONSTRAINT t_k_pk PRIMARY KEY USING INDEX t_k_pk_pgsteward_new",
    ]);
  });

  test("under another name is there before the old one goes", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (a integer, b integer); CREATE INDEX one ON t (a)",
      "CREATE TABLE t (a integer, b integer); CREATE INDEX two ON t (a, b)",
    );
    expect(lines(plan)).toEqual([
      "1! CREATE INDEX CONCURRENTLY two ON t USING btree (a, b)",
      "2! DROP INDEX CONCURRENTLY one",
    ]);
  });
});

describe("who may do what", () => {
  test("has transactions of its own on tables in use, and those of the table on new ones", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (id integer)",
      `CREATE TABLE t (id integer, n integer); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id > 0);
       CREATE TABLE u (id integer); ALTER TABLE u ENABLE ROW LEVEL SECURITY; GRANT SELECT ON u TO PUBLIC;`,
    );
    const groups = new Map(plan.steps.map(({ subject, transactionGroup }) => [subject, transactionGroup]));
    expect(groups.get("column public.t.n")).toBe(1);
    expect(groups.get("table public.u")).toBe(1);
    expect(groups.get("row security public.u")).toBe(1);
    expect(groups.get("row security public.t")).toBe(2);
    expect(groups.get("policy public.t.own")).toBe(2);
    expect(
      plan.steps
        .filter(({ authorisation }) => authorisation)
        .map(({ subject }) => subject)
        .sort(),
    ).toEqual(["policy public.t.own", "privileges table public.u", "row security public.t", "row security public.u"]);
  });
});

test("a function with its owner's rights changes who may do what, one that only says the words does not", async () => {
  const define = (name: string, security: string): string =>
    `CREATE FUNCTION ${name}() RETURNS text LANGUAGE sql ${security} AS $$ SELECT 'SECURITY DEFINER' $$;`;
  const plan = await planOf(database, "", `${define("lent", "SECURITY DEFINER")}${define("own", "")}`);
  const marked = plan.steps.filter(({ authorisation }) => authorisation).map(({ subject }) => subject);
  expect(marked).toEqual(["function public.lent."]);
});

describe("what undoes a step", () => {
  test("leads back to the schema before, undone in reverse", async () => {
    const before = `CREATE TABLE t (id integer PRIMARY KEY, a varchar(10), b integer); CREATE INDEX i ON t (b);
      CREATE VIEW v AS SELECT id FROM t; COMMENT ON INDEX i IS 'by b';`;
    const after = `CREATE TABLE t (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT '', b integer CHECK (b > 0), c text);
      CREATE INDEX i ON t (b, a); CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1; GRANT SELECT ON t TO PUBLIC;`;
    const wanted = await catalogOf(database, after);
    const original = await catalogOf(database, before);
    const { steps } = planMigration(original, wanted);
    await applyPlan(database, { changes: [], steps, renames: [], notCovered: [] });
    for (const { sql, reversal } of steps.toReversed()) {
      if (reversal === undefined) throw new Error(`nothing undoes ${sql}`);
      for (const statement of reversal.split(/;\n(?=[A-Z])/)) if (statement !== "") await database.exec(statement);
    }
    expect(compareCatalogs(await readCatalog(database), original)).toEqual([]);
  });

  test.each([
    "domain-constraint-inside-arrays",
    "partition-joins-with-its-own-index",
    "partition-added-while-column-changes",
    "not-null-no-inherit",
    "domain-default-function",
  ])("leads back in the case %s of the corpus", async (name) => {
    const pair = CORPUS.find((candidate) => candidate.name === name);
    if (pair === undefined) throw new Error(`there is no case ${name}`);
    const wanted = await catalogOf(database, pair.after);
    const original = await catalogOf(database, pair.before);
    const { steps } = planMigration(original, wanted);
    await applyPlan(database, { changes: [], steps, renames: [], notCovered: [] });
    for (const { sql, reversal } of steps.toReversed()) {
      if (reversal === undefined) throw new Error(`nothing undoes ${sql}`);
      for (const statement of reversal.split(/;\n(?=[A-Z])/)) if (statement !== "") await database.exec(statement);
    }
    expect(compareCatalogs(await readCatalog(database), original)).toEqual([]);
  });

  test("is nothing where rows go, and the hazard names what is lost", async () => {
    const plan = await planOf(
      database,
      "CREATE TABLE t (id integer, note text); CREATE TABLE u (id integer)",
      "CREATE TABLE t (id integer)",
    );
    const lost = plan.steps.map(({ sql, reversal, hazards }) => [
      sql,
      reversal,
      hazards.filter(({ kind }) => kind === "data loss").map(({ why }) => why),
    ]);
    expect(lost).toEqual([
      [
        'ALTER TABLE "public"."t" DROP COLUMN "note"',
        undefined,
        [
          "the values of public.t.note are gone; in two releases that keep them: pgsteward migrate drop column public.t.note",
        ],
      ],
      [
        'DROP TABLE "public"."u"',
        undefined,
        ["the rows of public.u are gone; in two releases that keep them: pgsteward migrate drop table public.u"],
      ],
    ]);
  });

  test("is nothing for a value added to an enum, which no statement takes away", async () => {
    const plan = await planOf(database, "CREATE TYPE e AS ENUM ('a')", "CREATE TYPE e AS ENUM ('a', 'b')");
    expect(plan.steps).toMatchObject([{ reversal: undefined, hazards: [{ kind: "irreversible" }] }]);
  });

  test("is nothing for an extension's new version", async () => {
    const plan = await planOf(
      database,
      "CREATE EXTENSION hstore VERSION '1.7'",
      "CREATE EXTENSION hstore VERSION '1.8'",
    );
    expect(plan.steps).toMatchObject([{ reversal: undefined, hazards: [{ kind: "irreversible" }] }]);
    expect(lines(plan)).toEqual(["1 ALTER EXTENSION hstore UPDATE TO 1.8"]);
  });
});

test("an extension moves to another schema where it can, and is made again there where it cannot", async () => {
  const install = (schema: string): string =>
    `DROP SCHEMA IF EXISTS a, b CASCADE; CREATE SCHEMA a; CREATE SCHEMA b;
     CREATE EXTENSION hstore SCHEMA ${schema}; CREATE EXTENSION xml2 SCHEMA ${schema};`;
  const plan = await planOf(database, install("a"), install("b"));
  await database.exec("DROP SCHEMA a, b CASCADE");
  expect(lines(plan)).toEqual([
    "1 DROP EXTENSION xml2",
    "1 ALTER EXTENSION hstore SET SCHEMA b",
    "1 CREATE EXTENSION IF NOT EXISTS xml2 SCHEMA b",
  ]);
});

test("the schema public has initdb's comment again when it loses another", async () => {
  const plan = await planOf(database, "COMMENT ON SCHEMA public IS 'ours'", "");
  expect(lines(plan)).toEqual(["1 COMMENT ON SCHEMA public IS 'standard public schema'"]);
});
