import { describe, expect, test } from "vitest";
import { ruleCases, subjectsOf } from "../support.ts";

const { check, checkAfterFix, checkAgain, database } = ruleCases("foreign-key-without-index");
const PARENT = "CREATE TABLE app.parents (id bigint PRIMARY KEY, other bigint, UNIQUE (id, other));";

describe("foreign-key-without-index", () => {
  test("a foreign key without an index is reported, and the fix creates it", async () => {
    const { findings } = await check(
      `${PARENT} CREATE TABLE app.children (id int PRIMARY KEY, parent_id bigint REFERENCES app.parents);`,
    );
    expect(findings).toMatchObject([
      {
        severity: "warning",
        subject: { kind: "constraint", table: "children", name: "children_parent_id_fkey" },
        columns: ["parent_id"],
      },
    ]);
    expect(findings[0]?.fix.sql).toMatch(/^CREATE INDEX CONCURRENTLY /);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a foreign key led by another column is still reported", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.children (kind int, parent_id bigint REFERENCES app.parents);
      CREATE INDEX ON app.children (kind, parent_id);`);
    expect(subjectsOf(findings)).toEqual(["children.children_parent_id_fkey"]);
  });

  test("primary keys, unique constraints, longer indexes and hash indexes count", async () => {
    const { findings, examined } = await check(`${PARENT}
      CREATE TABLE app.a (parent_id bigint PRIMARY KEY REFERENCES app.parents);
      CREATE TABLE app.b (parent_id bigint UNIQUE REFERENCES app.parents);
      CREATE TABLE app.c (parent_id bigint REFERENCES app.parents, kind int); CREATE INDEX ON app.c (parent_id DESC, kind);
      CREATE TABLE app.d (parent_id bigint REFERENCES app.parents); CREATE INDEX ON app.d USING hash (parent_id);`);
    expect(findings).toEqual([]);
    expect(examined).toBe(4);
  });

  test("the columns may lead the index in any order, but all of them must", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.a (x bigint, y bigint, FOREIGN KEY (x, y) REFERENCES app.parents (id, other)); CREATE INDEX ON app.a (y, x);
      CREATE TABLE app.b (x bigint, y bigint, k int, FOREIGN KEY (x, y) REFERENCES app.parents (id, other)); CREATE INDEX ON app.b (x, k, y);
      CREATE TABLE app.c (x bigint, y bigint, FOREIGN KEY (x, y) REFERENCES app.parents (id, other)); CREATE INDEX ON app.c (x);`);
    expect(subjectsOf(findings)).toEqual(["b.b_x_y_fkey", "c.c_x_y_fkey"]);
  });

  test("partial, expression, INCLUDE-only, BRIN and GIN-like indexes do not count", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.a (parent_id bigint REFERENCES app.parents, gone boolean); CREATE INDEX ON app.a (parent_id) WHERE NOT gone;
      CREATE TABLE app.b (parent_id bigint REFERENCES app.parents); CREATE INDEX ON app.b ((parent_id + 0));
      CREATE TABLE app.c (parent_id bigint REFERENCES app.parents, k int); CREATE INDEX ON app.c (k) INCLUDE (parent_id);
      CREATE TABLE app.d (parent_id bigint REFERENCES app.parents); CREATE INDEX ON app.d USING brin (parent_id);`);
    expect(subjectsOf(findings)).toEqual([
      "a.a_parent_id_fkey",
      "b.b_parent_id_fkey",
      "c.c_parent_id_fkey",
      "d.d_parent_id_fkey",
    ]);
  });

  test("an index on the rows where the column is not null counts, because the planner uses it for the lookup", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.children (parent_id bigint REFERENCES app.parents);
      CREATE INDEX ON app.children (parent_id) WHERE parent_id IS NOT NULL;`);
    expect(findings).toEqual([]);
    const connection = await database().connect();
    try {
      await connection.exec("SET enable_seqscan = off");
      await connection.exec("PREPARE lookup AS SELECT FROM app.children WHERE parent_id = $1");
      await connection.exec("SET plan_cache_mode = force_generic_plan");
      const { rows } = await connection.query("EXPLAIN EXECUTE lookup(1)");
      expect(JSON.stringify(rows)).toContain("children_parent_id_idx");
    } finally {
      await connection.exec("DISCARD ALL");
      connection.release();
    }
  });

  test("an invalid index does not count", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.children (parent_id bigint REFERENCES app.parents); CREATE INDEX children_idx ON app.children (parent_id);
      UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.children_idx'::regclass;`);
    expect(findings).toHaveLength(1);
  });

  test("a partitioned table is reported once for its inherited key, and the fix reaches all partitions", async () => {
    const { findings, examined } = await check(`${PARENT}
      CREATE TABLE app.events (parent_id bigint REFERENCES app.parents, at int) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
      CREATE TABLE app.events_2 PARTITION OF app.events FOR VALUES FROM (10) TO (20);
      CREATE INDEX ON app.events_1 (parent_id);`);
    expect(subjectsOf(findings)).toEqual(["events.events_parent_id_fkey"]);
    expect(findings[0]?.message).toContain("1 of 2 partitions (events_2)");
    expect(examined).toBe(1);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a key that only one partition has is reported on that partition", async () => {
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.events (parent_id bigint, at int) PARTITION BY RANGE (at);
      CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM (0) TO (10);
      ALTER TABLE app.events_1 ADD FOREIGN KEY (parent_id) REFERENCES app.parents;`);
    expect(subjectsOf(findings)).toEqual(["events_1.events_1_parent_id_fkey"]);
    expect((await checkAfterFix(findings[0])).findings).toEqual([]);
  });

  test("a key to a partitioned table is one key", async () => {
    const { findings } = await check(`
      CREATE TABLE app.parents (id int PRIMARY KEY) PARTITION BY HASH (id);
      CREATE TABLE app.parents_0 PARTITION OF app.parents FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE app.parents_1 PARTITION OF app.parents FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      CREATE TABLE app.children (parent_id int REFERENCES app.parents);`);
    expect(subjectsOf(findings)).toEqual(["children.children_parent_id_fkey"]);
  });

  test("names with quotes, capitals and 63 bytes are kept, and the index gets a free name", async () => {
    const long = "c".repeat(63);
    const { findings } = await check(`${PARENT}
      CREATE TABLE app."Chil""dren" ("${long}" bigint REFERENCES app.parents);
      CREATE TABLE app.idx_kids_parent_id ();
      CREATE TABLE app.kids (parent_id bigint REFERENCES app.parents);`);
    expect(findings).toHaveLength(2);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("two long names that are cut alike get different indexes from one report", async () => {
    const table = "t".repeat(60);
    const { findings } = await check(`${PARENT}
      CREATE TABLE app.${table} (a bigint REFERENCES app.parents, b bigint REFERENCES app.parents);`);
    expect(findings).toHaveLength(2);
    for (const finding of findings) await checkAfterFix(finding);
    expect((await checkAgain()).findings).toEqual([]);
  });

  test("it can be silenced by constraint, by column or by table", async () => {
    const setup = `${PARENT} CREATE TABLE app.children (parent_id bigint REFERENCES app.parents)`;
    for (const subject of ["app.children.children_parent_id_fkey", "app.children.parent_id", "app.children", "app.*"]) {
      const { findings, silenced } = await check(setup, {
        silence: [{ rule: "foreign-key-without-index", subject, reason: "parents are never deleted" }],
      });
      expect(findings).toEqual([]);
      expect(silenced).toHaveLength(1);
    }
  });
});
