// The forms of statements that do not hold up a live workload: which come, by server version, with their locks and what undoes them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareCatalogs, readCatalog, type Catalog } from "../../src/catalog/index.ts";
import { planMigration, type Plan, type Step } from "../../src/migrate/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";
import { applyPlan, CORPUS } from "./corpus.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.close());

async function catalogOf(sql: string): Promise<Catalog> {
  await database.exec(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${sql}`);
  return readCatalog(database);
}

async function planOf(before: string, after: string, serverVersion?: number): Promise<Plan> {
  const wanted = await catalogOf(after);
  return planMigration(await catalogOf(before), wanted, { serverVersion });
}

/** One line a step: group, `!` outside of transactions, the SQL shortened. */
function lines({ steps }: Plan): readonly string[] {
  return steps.map(({ sql, transactionGroup, inTransaction }) => {
    const text = sql.startsWith("DO ")
      ? "DO"
      : sql.replaceAll('"public".', "").replaceAll('"', "").replaceAll("public.", "");
    return `${transactionGroup}${inTransaction ? "" : "!"} ${text}`;
  });
}

function stepOf(plan: Plan, text: string): Step {
  const found = plan.steps.find(({ sql }) => sql.includes(text));
  if (found === undefined) throw new Error(`no step with ${text}`);
  return found;
}

/** Applies a plan to the database; what the server tells meanwhile. */
async function noticesOf({ steps }: Plan): Promise<readonly string[]> {
  const notices: string[] = [];
  await using connection = await database.connect();
  const listen = ({ message = "" }: { readonly message?: string | undefined }): void => void notices.push(message);
  connection.client.on("notice", listen);
  await connection.exec("SET client_min_messages = debug1");
  for (const { sql } of steps) await connection.exec(sql);
  await connection.exec("RESET client_min_messages");
  connection.client.removeListener("notice", listen);
  return notices;
}

describe("NOT NULL", () => {
  const before = "CREATE TABLE t (a integer)";
  const after = "CREATE TABLE t (a integer CONSTRAINT t_a_nn NOT NULL)";

  test.each([140000, 170000])("on %i is proved by a CHECK that goes again", async (version) => {
    expect(lines(await planOf(before, after, version))).toEqual([
      "1 ALTER TABLE t ADD CONSTRAINT t_a_nn CHECK (a IS NOT NULL) NOT VALID",
      "2 ALTER TABLE t VALIDATE CONSTRAINT t_a_nn",
      "3 ALTER TABLE t ALTER COLUMN a SET NOT NULL",
      "3 ALTER TABLE t DROP CONSTRAINT t_a_nn",
    ]);
  });

  test("on 18 is a constraint that is validated later, and only the validation reads the table", async () => {
    const plan = await planOf(before, after, 180000);
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
    const plan = await planOf("CREATE TABLE t (a varchar(10), b integer)", "CREATE TABLE t (a varchar(20), b bigint)");
    expect(plan.steps.map(({ locks, hazards }) => [locks[0]?.rewrite, hazards.map(({ kind }) => kind)])).toEqual([
      [false, []],
      [true, ["rewrite"]],
    ]);
    const domain = await planOf("CREATE TABLE t ()", "CREATE DOMAIN p AS int CHECK (value > 0); CREATE TABLE t (a p)");
    expect(domain.steps.at(-1)?.locks[0]?.rewrite).toBe(true);
  });
});

describe("a type that holds less", () => {
  test.each([
    ["numeric(10,4)", "numeric(10,2)", "what follows the 2 decimal places of public.t.a is gone"],
    ["numeric", "integer", "what follows the decimal point of public.t.a is gone"],
    ["timestamptz", "date", "the time of day of public.t.a is gone"],
  ])("%s to %s names what is lost", async (from, to, why) => {
    const plan = await planOf(`CREATE TABLE t (a ${from})`, `CREATE TABLE t (a ${to})`);
    expect(plan.steps[0]?.hazards).toContainEqual({ kind: "data loss", why });
  });

  test("refuses a text that is too long, instead of cutting it", async () => {
    const plan = await planOf(
      "CREATE TABLE t (a text); INSERT INTO t VALUES ('long')",
      "CREATE TABLE t (a varchar(3))",
    );
    await expect(applyPlan(database, plan)).rejects.toThrow("value too long for type character varying(3)");
  });
});

describe("a column with a default that differs by row", () => {
  test("is added empty, filled in pieces, then made NOT NULL", async () => {
    const plan = await planOf(
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
    const plan = await planOf(table("CONSTRAINT t_pk PRIMARY KEY (id)"), table("CONSTRAINT t_k_pk PRIMARY KEY (k)"));
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE t RENAME CONSTRAINT t_pk TO t_k_pk",
      "2! CREATE UNIQUE INDEX CONCURRENTLY t_k_pk_pgsteward_new ON t (k)",
      "3 ALTER TABLE t DROP CONSTRAINT t_k_pk, ADD CONSTRAINT t_k_pk PRIMARY KEY USING INDEX t_k_pk_pgsteward_new",
    ]);
  });

  test("under another name is there before the old one goes", async () => {
    const plan = await planOf(
      "CREATE TABLE t (a integer, b integer); CREATE INDEX one ON t (a)",
      "CREATE TABLE t (a integer, b integer); CREATE INDEX two ON t (a, b)",
    );
    expect(lines(plan)).toEqual([
      "1! CREATE INDEX CONCURRENTLY two ON t USING btree (a, b)",
      "2! DROP INDEX CONCURRENTLY one",
    ]);
  });
});

describe("a partition", () => {
  const table = "CREATE TABLE p (at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE c (at date NOT NULL);";
  const rest = "CREATE TABLE d PARTITION OF p DEFAULT;";
  const attach = "ALTER TABLE p ATTACH PARTITION c FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');";

  test("joins when checks say what the server would read it and the default partition for", async () => {
    const plan = await planOf(`${table}${rest}`, `${table}${rest}${attach}`);
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
    const plan = await planOf(parent, `${parent} ALTER TABLE p ATTACH PARTITION c FOR VALUES ${bound}`);
    expect(plan.steps.map(({ sql }) => /ATTACH|NOT VALID|VALIDATE|DROP/.exec(sql)?.[0])).toEqual([
      "NOT VALID",
      "VALIDATE",
      "ATTACH",
      "DROP",
    ]);
    expect(stepOf(plan, "ATTACH").locks.filter(({ scan }) => scan)).toEqual([]);
    await database.exec(`INSERT INTO c VALUES ${rows}`);
    expect(await noticesOf(plan)).toContain('partition constraint for table "c" is implied by existing constraints');
  });

  test.each([
    ['LIST (b COLLATE "C")', "IN ('x')"],
    ["HASH (b)", "WITH (MODULUS 1, REMAINDER 0)"],
  ])("by %s is read, and the hazard says so", async (key, bound) => {
    const parent = `CREATE TABLE p (b text) PARTITION BY ${key}; CREATE TABLE c (b text);`;
    const plan = await planOf(parent, `${parent} ALTER TABLE p ATTACH PARTITION c FOR VALUES ${bound}`);
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
    const plan = await planOf(tables, `${tables} ALTER TABLE p ADD CONSTRAINT p_at UNIQUE (at);`);
    expect(lines(plan)).toEqual([
      "1 ALTER TABLE ONLY p ADD CONSTRAINT p_at UNIQUE (at)",
      "2! CREATE UNIQUE INDEX CONCURRENTLY d_at_key ON d (at)",
      "3 ALTER TABLE d ADD CONSTRAINT d_at_key UNIQUE USING INDEX d_at_key",
      "3 ALTER INDEX p_at ATTACH PARTITION d_at_key",
    ]);
    expect(plan.steps.flatMap(({ hazards }) => hazards).map(({ kind }) => kind)).toEqual(["may fail"]);
  });

  test("leaves CONCURRENTLY, and at once where a default partition forbids that", async () => {
    expect(lines(await planOf(`${table}${attach}`, table))).toEqual([
      "1! ALTER TABLE p DETACH PARTITION c CONCURRENTLY",
      "2 DO",
    ]);
    expect(lines(await planOf(`${table}${rest}${attach}`, `${table}${rest}`))).toEqual([
      "1 ALTER TABLE p DETACH PARTITION c",
    ]);
  });
});

describe("a foreign key of a partitioned table", () => {
  const tables = `CREATE TABLE r (id integer PRIMARY KEY); CREATE TABLE p (id integer, at date NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE c PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');`;
  const key = "ALTER TABLE p ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES r(id)";

  test("is proved by each partition before 18", async () => {
    expect(lines(await planOf(tables, `${tables}${key}`, 140000))).toEqual([
      "1 ALTER TABLE c ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES r(id) NOT VALID",
      "2 ALTER TABLE c VALIDATE CONSTRAINT f",
      `3 ${key}`,
    ]);
  });

  test("is validated later from 18 on", async () => {
    expect(lines(await planOf(tables, `${tables}${key}`, 180000))).toEqual([
      `1 ${key} NOT VALID`,
      "2 ALTER TABLE p VALIDATE CONSTRAINT f",
    ]);
  });
});

describe("who may do what", () => {
  test("has transactions of its own on tables in use, and those of the table on new ones", async () => {
    const plan = await planOf(
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
  const plan = await planOf("", `${define("lent", "SECURITY DEFINER")}${define("own", "")}`);
  const marked = plan.steps.filter(({ authorisation }) => authorisation).map(({ subject }) => subject);
  expect(marked).toEqual(["function public.lent."]);
});

describe("what undoes a step", () => {
  test("leads back to the schema before, undone in reverse", async () => {
    const before = `CREATE TABLE t (id integer PRIMARY KEY, a varchar(10), b integer); CREATE INDEX i ON t (b);
      CREATE VIEW v AS SELECT id FROM t; COMMENT ON INDEX i IS 'by b';`;
    const after = `CREATE TABLE t (id integer PRIMARY KEY, a varchar(20) NOT NULL DEFAULT '', b integer CHECK (b > 0), c text);
      CREATE INDEX i ON t (b, a); CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1; GRANT SELECT ON t TO PUBLIC;`;
    const wanted = await catalogOf(after);
    const original = await catalogOf(before);
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
    const wanted = await catalogOf(pair.after);
    const original = await catalogOf(pair.before);
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
    const plan = await planOf("CREATE TYPE e AS ENUM ('a')", "CREATE TYPE e AS ENUM ('a', 'b')");
    expect(plan.steps).toMatchObject([{ reversal: undefined, hazards: [{ kind: "irreversible" }] }]);
  });

  test("is nothing for an extension's new version", async () => {
    const plan = await planOf("CREATE EXTENSION hstore VERSION '1.7'", "CREATE EXTENSION hstore VERSION '1.8'");
    expect(plan.steps).toMatchObject([{ reversal: undefined, hazards: [{ kind: "irreversible" }] }]);
    expect(lines(plan)).toEqual(["1 ALTER EXTENSION hstore UPDATE TO 1.8"]);
  });
});

test("an extension moves to another schema where it can, and is made again there where it cannot", async () => {
  const install = (schema: string): string =>
    `DROP SCHEMA IF EXISTS a, b CASCADE; CREATE SCHEMA a; CREATE SCHEMA b;
     CREATE EXTENSION hstore SCHEMA ${schema}; CREATE EXTENSION xml2 SCHEMA ${schema};`;
  const plan = await planOf(install("a"), install("b"));
  await database.exec("DROP SCHEMA a, b CASCADE");
  expect(lines(plan)).toEqual([
    "1 DROP EXTENSION xml2",
    "1 ALTER EXTENSION hstore SET SCHEMA b",
    "1 CREATE EXTENSION IF NOT EXISTS xml2 SCHEMA b",
  ]);
});
