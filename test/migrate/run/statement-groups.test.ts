// How a migration's part is split into what is committed together. Pure.
import { expect, test } from "vitest";
import { parseMigration } from "../../../src/migrate/index.ts";
import { groupsOf } from "../../../src/migrate/run/statement-groups.ts";

const groups = async (up: string, mark = "transaction:false") => {
  const grouped = await groupsOf(parseMigration("1_a.sql", `-- migrate:up ${mark}\n${up}`), "up");
  return grouped.groups.map(({ first, begin, alone, statements }) => ({
    first,
    begin,
    alone,
    sql: statements.map(({ text }) => text),
  }));
};

test("a file is one transaction; savepoints and procedures belong to it", async () => {
  expect(await groups("CREATE TABLE t ();\nSAVEPOINT a; DROP TABLE t; ROLLBACK TO a; CALL p();", "")).toEqual([
    {
      first: 0,
      begin: "BEGIN",
      alone: undefined,
      sql: ["CREATE TABLE t ()", "SAVEPOINT a", "DROP TABLE t", "ROLLBACK TO a", "CALL p()"],
    },
  ]);
});

test("transaction:false: BEGIN and COMMIT make groups, every other statement is alone", async () => {
  expect(
    await groups(`SET lock_timeout = '5s';
BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); COMMIT;
CREATE INDEX CONCURRENTLY i ON t (a);
START TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1; END;
DO $$ BEGIN PERFORM 1; COMMIT; END $$;
VACUUM t;`),
  ).toEqual([
    { first: 0, begin: undefined, alone: undefined, sql: ["SET lock_timeout = '5s'"] },
    { first: 1, begin: "BEGIN", alone: undefined, sql: ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"] },
    { first: 3, begin: undefined, alone: "CREATE INDEX CONCURRENTLY", sql: ["CREATE INDEX CONCURRENTLY i ON t (a)"] },
    { first: 4, begin: "START TRANSACTION ISOLATION LEVEL SERIALIZABLE", alone: undefined, sql: ["SELECT 1"] },
    {
      first: 5,
      begin: undefined,
      alone: "a procedure that may commit",
      sql: ["DO $$ BEGIN PERFORM 1; COMMIT; END $$"],
    },
    { first: 6, begin: undefined, alone: "VACUUM", sql: ["VACUUM t"] },
  ]);
});

test.each([
  ["", "CREATE INDEX CONCURRENTLY i ON t (a);", /1_a.sql:2: CREATE INDEX CONCURRENTLY cannot run inside a transaction/],
  ["", "SELECT 1;\nALTER TABLE p DETACH PARTITION c CONCURRENTLY;", /1_a.sql:3: DETACH PARTITION CONCURRENTLY cannot/],
  ["", "CREATE TABLE t (); COMMIT;", /1_a.sql:2 holds COMMIT/],
  ["transaction:false", "BEGIN;\nVACUUM t;\nCOMMIT;", /1_a.sql:3: VACUUM cannot run inside a transaction/],
  [
    "transaction:false",
    "BEGIN;\nSELECT 1;\nBEGIN;",
    /1_a.sql:4: BEGIN inside the transaction that was begun at 1_a.sql:2/,
  ],
  ["transaction:false", "SELECT 1;\nCOMMIT;", /1_a.sql:3: COMMIT without a BEGIN/],
  ["transaction:false", "BEGIN; SELECT 1;", /1_a.sql:2: this BEGIN has no COMMIT/],
  ["transaction:false", "BEGIN; SELECT 1; ROLLBACK;", /ROLLBACK has no place in a migration/],
  ["", "DISCARD ALL;", /DISCARD ALL would give up the lock/],
  ["", "\\i other.sql\n", /1_a.sql:2: \\i is a command of psql/],
  ["", "COPY t FROM stdin;\n1\n\\.\n", /1_a.sql:3: the data of COPY/],
  ["", "CREATE TABLE t (a int,, b int);", /1_a.sql:2:23: syntax error at or near ","/],
])("%s %j is refused with its place", async (mark, up, expected) => {
  await expect(groups(up, mark)).rejects.toThrow(expected);
});

test("the lines that pg_dump puts around a dump for psql are passed over", async () => {
  expect(await groups("\\restrict abc\nCREATE TABLE t ();\n\\unrestrict abc\n", "")).toMatchObject([{ first: 0 }]);
});

test("3,000 statements are read in their order, each with its line", async () => {
  const rows = Array.from({ length: 3_000 }, (_, index) => `INSERT INTO t VALUES (${index}, 'ä');`).join("\n");
  const { statements } = await groupsOf(parseMigration("1_a.sql", `-- migrate:up\n${rows}\n`), "up");
  expect(statements.at(-1)).toMatchObject({ number: 3_000, line: 3_001, text: "INSERT INTO t VALUES (2999, 'ä')" });
});
