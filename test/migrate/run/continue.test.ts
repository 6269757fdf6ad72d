// Runs that stop half way and go on, and what the folder and the history may disagree about.
import { expect, test } from "vitest";
import {
  baselineMigrations,
  parseMigration,
  previewMigrations,
  readMigrationHistory,
  readMigrationStatus,
  redoMigrations,
  repairMigration,
  revertMigrations,
  runMigrations,
  type Migration,
  type MigrationEvent,
} from "../../../src/migrate/index.ts";
import {
  InvalidInputError,
  InvalidSqlError,
  MigrationEditedError,
  MigrationUnfinishedError,
  UniqueViolationError,
  type Database,
} from "../../../src/postgres/index.ts";
import { groupsOf } from "../../../src/migrate/run/statement-groups.ts";
import { describeDatabases } from "../../support/test-database.ts";
import { failureOf } from "../../support/failure-of.ts";
import { namesToQuote, SETUP, travelWithRoles } from "../roles/travel.ts";

const migration = (file: string, up: string, down?: string, header = "") =>
  parseMigration(file, `${header}-- migrate:up\n${up}\n${down === undefined ? "" : `-- migrate:down\n${down}\n`}`);
const phased = (file: string, up: string, down?: string) =>
  parseMigration(
    file,
    `-- migrate:up transaction:false\n${up}\n${down === undefined ? "" : `-- migrate:down transaction:false\n${down}\n`}`,
  );

const exists = async (database: Database, ...names: string[]): Promise<readonly boolean[]> => {
  const { rows } = await database.query<{ found: boolean[] }>(
    "SELECT array_agg(to_regclass(n) IS NOT NULL ORDER BY o) AS found FROM unnest($1::text[]) WITH ORDINALITY AS u (n, o)",
    [names],
  );
  return rows[0]?.found ?? [];
};

const states = async (database: Database, migrations: readonly Migration[]): Promise<readonly string[]> =>
  (await readMigrationStatus(database, migrations)).migrations.map(({ version, state }) => `${version} ${state}`);

describeDatabases((kind, open) => {
  test("a file of several groups that fails keeps what was committed, and goes on there after its rest was corrected", async () => {
    await using database = await open();
    const text = (third: string): string => `BEGIN;
CREATE TABLE a (id int);
INSERT INTO a VALUES (1);
COMMIT;
CREATE INDEX CONCURRENTLY a_id ON a (id);
BEGIN;
CREATE TABLE b (id int);
${third};
COMMIT;
CREATE TABLE c (id int);`;
    const later = migration("2_later.sql", "CREATE TABLE d ();");
    const error = await failureOf(
      runMigrations(database, [phased("1_a.sql", text("INSERT INTO nowhere VALUES (1)")), later]),
    );
    expect(error).toBeInstanceOf(InvalidSqlError);
    expect((error as InvalidSqlError).message).toContain('1_a.sql:9:13: relation "nowhere" does not exist');
    expect((error as InvalidSqlError).hint).toContain(
      "statements 1 to 3 of 6 of 1_a.sql are done and stay, 1 after it was not begun: pgsteward migrate up goes on at line 8",
    );
    expect(await exists(database, "a", "a_id", "b", "c", "d")).toEqual([true, true, false, false, false]);
    expect(await readMigrationHistory(database)).toMatchObject([
      { version: "1", state: "failed", direction: "up", position: 3, statements: 6 },
    ]);

    const corrected = phased("1_a.sql", text("INSERT INTO b VALUES (2)"));
    const touched = phased("1_a.sql", text("INSERT INTO b VALUES (2)").replace("a VALUES (1)", "a VALUES (2)"));
    await expect(runMigrations(database, [touched, later])).rejects.toThrow(
      /first 3 statements, which are done, were changed/,
    );
    await expect(revertMigrations(database, [corrected, later])).rejects.toThrow(MigrationUnfinishedError);
    expect(await states(database, [corrected, later])).toEqual(["1 unfinished", "2 pending"]);
    expect(await previewMigrations(database, [corrected, later], "up")).toMatchObject([
      {
        version: "1",
        position: 3,
        groups: [{ inTransaction: true, statements: [{ line: 8 }, { line: 9 }] }, { inTransaction: true }],
      },
      { version: "2", position: 0 },
    ]);
    await runMigrations(database, [corrected, later]);
    expect(await exists(database, "a", "a_id", "b", "c", "d")).toEqual([true, true, true, true, true]);
    expect((await database.query("SELECT id FROM a")).rows).toEqual([{ id: 1 }]);
    expect(await states(database, [corrected, later])).toEqual(["1 applied", "2 applied"]);
  });

  test("a way back that fails half way goes on with down, and up is refused until then", async () => {
    await using database = await open({ setup: "CREATE TABLE keep (id int)" });
    const down = (second: string): Migration =>
      phased("1_a.sql", "CREATE TABLE a (); CREATE TABLE b ();", `DROP TABLE b; ${second}; DROP TABLE a;`);
    await runMigrations(database, [down("DROP TABLE nowhere")]);
    await expect(revertMigrations(database, [down("DROP TABLE nowhere")])).rejects.toThrow(/"nowhere" does not exist/);
    expect(await readMigrationHistory(database)).toMatchObject([
      { state: "failed", direction: "down", position: 1, statements: 3 },
    ]);
    await expect(runMigrations(database, [down("DROP TABLE nowhere")])).rejects.toThrow(
      /1_a.sql is half way back: 1 of 3/,
    );
    await revertMigrations(database, [down("DROP TABLE IF EXISTS nowhere")]);
    expect(await exists(database, "a", "b", "keep")).toEqual([false, false, true]);
    expect(await readMigrationHistory(database)).toEqual([]);
  });

  test("a failed way back of one transaction leaves the migration applied, with the error noted", async () => {
    await using database = await open();
    const one = migration("1_a.sql", "CREATE TABLE a ();", "DROP TABLE a; DROP TABLE nowhere;");
    await runMigrations(database, [one]);
    await expect(revertMigrations(database, [one])).rejects.toThrow(/"nowhere" does not exist/);
    expect(await exists(database, "a")).toEqual([true]);
    expect(await readMigrationHistory(database)).toMatchObject([
      { state: "done", direction: "up", error: expect.stringContaining("1_a.sql:4:15") },
    ]);
  });

  test("an invalid index is dropped and built again, also where IF NOT EXISTS would take it for the index", async () => {
    await using database = await open({ setup: "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1);" });
    const one = phased("1_a.sql", "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_t_a ON t (a);");
    const error = await failureOf(runMigrations(database, [one]));
    expect(error).toBeInstanceOf(UniqueViolationError);
    expect((error as UniqueViolationError).hint).toContain(
      "what statement 1 left behind is put in order by the next run",
    );
    expect(
      (await database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'uq_t_a'::regclass")).rows,
    ).toEqual([{ indisvalid: false }]);
    await database.exec("DELETE FROM t");
    const events: MigrationEvent[] = [];
    await runMigrations(database, [one], { onEvent: (event) => events.push(event) });
    expect(
      (await database.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'uq_t_a'::regclass")).rows,
    ).toEqual([{ indisvalid: true }]);
    expect(events).toContainEqual(
      expect.objectContaining({ kind: "recovered", what: "the invalid index public.uq_t_a was dropped" }),
    );
  });

  test("what an interrupted statement did is found out: index, detach, drop, and a procedure that has to be asked about", async () => {
    await using database = await open({
      setup: `CREATE TABLE t (a int); CREATE INDEX kept ON t (a);
CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9);
CREATE PROCEDURE count_up() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (7); COMMIT; END';`,
    });
    const one = phased(
      "1_a.sql",
      `CREATE INDEX CONCURRENTLY ON t (a);
ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
DROP INDEX CONCURRENTLY kept;
CALL count_up();
REINDEX TABLE CONCURRENTLY t;`,
    );
    const { statements, doneChecksums } = await groupsOf(one, "up");
    await runMigrations(database, [migration("0_empty.sql", "SELECT 1;")]);
    // The history as a killed run leaves it: the intent is written, and whether the statement is done is not known.
    const interruptedIn = async (position: number, indexes: readonly string[] = []): Promise<void> => {
      await database.query("DELETE FROM pgsteward.schema_migrations WHERE version = '1'");
      await database.query(
        `INSERT INTO pgsteward.schema_migrations (version, name, checksum, duration, state, position, statements, done_checksum, intent)
         VALUES ('1', 'a', $1, 0, 'running', $2, 5, $3, $4)`,
        [one.checksum, position, doneChecksums[position], JSON.stringify({ sql: statements[position]?.text, indexes })],
      );
    };
    const all = [migration("0_empty.sql", "SELECT 1;"), one];

    const { rows: before } = await database.query<{ oid: string }>("SELECT 'kept'::regclass::oid::text AS oid");
    await database.exec("CREATE INDEX ON t (a)");
    if (kind === "server") await database.exec("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY");
    else await database.exec("ALTER TABLE p DETACH PARTITION p1");
    await database.exec("DROP INDEX kept");
    await interruptedIn(
      0,
      before.map(({ oid }) => oid),
    );
    // The index is there, the partition and the index are gone: nothing is done twice, until the call.
    const events: MigrationEvent[] = [];
    const told = { onEvent: (event: MigrationEvent) => events.push(event) };
    await failureOf(runMigrations(database, all, told));
    expect(events.filter((event) => event.kind === "recovered").map(({ what }) => what)).toEqual([
      "the index public.t_a_idx is there and valid",
    ]);
    expect(
      (await database.query("SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indrelid = 't'::regclass"))
        .rows,
    ).toEqual([{ name: "t_a_idx" }]);
    await interruptedIn(1);
    await failureOf(runMigrations(database, all, told));
    await interruptedIn(2);
    await runMigrations(database, all, told);
    expect((await database.query("SELECT a FROM t")).rows).toEqual([{ a: 7 }]);
    await interruptedIn(3);
    await expect(runMigrations(database, all)).rejects.toThrow(/nobody can tell whether it finished/);
    await runMigrations(database, all, { ...told, undecided: "done" });
    expect((await database.query("SELECT a FROM t")).rows).toEqual([{ a: 7 }]);
    await interruptedIn(3);
    await runMigrations(database, all, { undecided: "again" });
    expect((await database.query("SELECT a FROM t")).rows).toEqual([{ a: 7 }, { a: 7 }]);
    await interruptedIn(4);
    await runMigrations(database, all);
    expect(events.filter((event) => event.kind === "recovered").map(({ what }) => what)).toEqual([
      "the index public.t_a_idx is there and valid",
      "p1 is no partition any more",
      "the index is gone",
      "taken as done",
    ]);
  });

  test("roles, settings and the search_path of a file end with it, and the history does not mind them", async () => {
    await using database = await open({
      setup: `DO $$ BEGIN CREATE ROLE steward_plain; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE SCHEMA other; GRANT CREATE, USAGE ON SCHEMA other, public TO steward_plain;`,
    });
    const files = [
      migration(
        "1_role.sql",
        "SET ROLE steward_plain; CREATE TABLE other.owned (); SELECT set_config('search_path', '', false);",
      ),
      migration("2_next.sql", "CREATE TABLE plain ();"),
      phased(
        "3_groups.sql",
        `SET ROLE steward_plain; SET search_path = other;
BEGIN; CREATE TABLE g1 (); COMMIT;
CREATE INDEX CONCURRENTLY i ON g1 ((1));
CREATE TABLE g2 ();
SELECT nothing();
CREATE TABLE g3 ();`,
      ),
    ];
    await failureOf(runMigrations(database, files));
    await database.exec("CREATE FUNCTION other.nothing() RETURNS int LANGUAGE sql RETURN 1");
    await runMigrations(database, files);
    const { rows } = await database.query(`
      SELECT relname AS name, relnamespace::regnamespace::text AS schema, relowner::regrole::text AS owner FROM pg_class
      WHERE relname IN ('owned', 'plain', 'g1', 'g2', 'g3') ORDER BY relname`);
    const owner = (await database.query<{ role: string }>("SELECT current_user::text AS role")).rows[0]?.role;
    expect(rows).toEqual([
      { name: "g1", schema: "other", owner: "steward_plain" },
      { name: "g2", schema: "other", owner: "steward_plain" },
      { name: "g3", schema: "other", owner: "steward_plain" },
      { name: "owned", schema: "other", owner: "steward_plain" },
      { name: "plain", schema: "public", owner },
    ]);
    await database.exec("DROP OWNED BY steward_plain");
  });

  test("of group roles one reads, one writes rows, neither does more, and what the migrator makes later is theirs at once", async () => {
    await using database = await open({ setup: SETUP });
    await travelWithRoles(database, namesToQuote(kind));
  });

  test("number and target say how far a run goes; redo takes back and applies again", async () => {
    await using database = await open();
    const files = [1, 2, 3, 4].map((number) =>
      migration(`${number}_t${number}.sql`, `CREATE TABLE t${number} ();`, `DROP TABLE t${number};`),
    );
    const versions = async (): Promise<string> =>
      (await readMigrationHistory(database)).map(({ version }) => version).join("");
    await runMigrations(database, files, { count: 1 });
    expect(await versions()).toBe("1");
    await runMigrations(database, files, { to: "3" });
    expect(await versions()).toBe("123");
    expect(
      (await redoMigrations(database, files, { count: 2 })).done.map((each) => `${each.direction} ${each.version}`),
    ).toEqual(["down 3", "down 2", "up 2", "up 3"]);
    await runMigrations(database, files);
    await revertMigrations(database, files);
    expect(await versions()).toBe("123");
    await revertMigrations(database, files, { to: "1_t1" });
    expect(await versions()).toBe("1");
    await revertMigrations(database, files, { to: "0" });
    expect(await versions()).toBe("");
    await expect(runMigrations(database, files, { to: "7" })).rejects.toThrow(/no migration 7/);
    await expect(runMigrations(database, files, { to: "1", count: 1 })).rejects.toThrow(InvalidInputError);
    await expect(runMigrations(database, files, { count: 0 })).rejects.toThrow(InvalidInputError);
  });

  test("what cannot be taken back is refused with its reason, before anything is done", async () => {
    await using database = await open();
    const files = [
      migration("1_gone.sql", "CREATE TABLE a ();", "DROP TABLE a;", "-- irreversible: the old rows are not kept\n"),
      migration("2_empty.sql", "CREATE TABLE b ();", "-- nothing"),
      migration("3_fine.sql", "CREATE TABLE c ();", "DROP TABLE c;"),
    ];
    await runMigrations(database, files);
    await expect(revertMigrations(database, files, { count: 2 })).rejects.toThrow(
      "2_empty.sql cannot be taken back: its down part is empty",
    );
    await expect(revertMigrations(database, files, { count: 3 })).rejects.toThrow(InvalidInputError);
    expect(await exists(database, "a", "b", "c")).toEqual([true, true, true]);
    await repairMigration(database, files, "2", "undone");
    await expect(revertMigrations(database, files, { to: "0" })).rejects.toThrow(
      /1_gone.sql cannot be taken back: the old rows are not kept/,
    );
    await revertMigrations(database, files, { to: "0", allowIrreversible: ["1_gone"] });
    expect(await exists(database, "a", "b", "c")).toEqual([false, true, false]);
  });

  test("folder and history are held against each other, and a person can say what is true", async () => {
    await using database = await open();
    const files = [1, 2, 3, 5].map((number) => migration(`${number}_t${number}.sql`, `CREATE TABLE t${number} ();`));
    await runMigrations(database, files, { actor: "planner" });
    const [one, two, three, five] = files;
    if (one === undefined || two === undefined || three === undefined || five === undefined)
      throw new Error("made above");
    const four = migration("4_t4.sql", "CREATE TABLE t4 ();");
    const editedTwo = migration("2_t2.sql", "CREATE TABLE t2 (id int);");
    const six = migration("6_t6.sql", "CREATE TABLE t6 ();");
    const folder = [one, editedTwo, four, five, six];
    expect(await states(database, folder)).toEqual([
      "1 applied",
      "2 edited",
      "3 missing",
      "4 outOfOrder",
      "5 applied",
      "6 pending",
    ]);
    expect((await readMigrationStatus(database, folder)).migrations[0]?.recorded).toMatchObject({
      actor: "planner",
      appliedBy: expect.any(String),
      isBaseline: false,
    });
    await expect(runMigrations(database, folder)).rejects.toThrow(MigrationEditedError);
    await repairMigration(database, folder, "2", "accept");
    await expect(runMigrations(database, folder)).rejects.toThrow(/3_t3, which is not in the folder/);
    await repairMigration(database, folder, "3", "undone");
    await expect(runMigrations(database, folder)).rejects.toThrow(/4_t4.sql is not applied/);
    await runMigrations(database, folder, { allowOutOfOrder: true });
    expect(await states(database, folder)).toEqual(["1 applied", "2 applied", "4 applied", "5 applied", "6 applied"]);
    const seven = migration("7_t1.sql", "CREATE TABLE t1 ();");
    await expect(runMigrations(database, [...folder, seven])).rejects.toThrow(/already exists/);
    await repairMigration(database, [...folder, seven], "7_t1", "done");
    expect((await runMigrations(database, [...folder, seven])).done).toEqual([]);
    await expect(repairMigration(database, folder, "99", "done")).rejects.toThrow(InvalidInputError);
  });

  test("a baseline marks without running, and only where nothing was recorded", async () => {
    await using database = await open({ setup: "CREATE TABLE t1 (); CREATE TABLE t2 ();" });
    const files = [1, 2, 3].map((number) => migration(`${number}_t${number}.sql`, `CREATE TABLE t${number} ();`));
    expect((await baselineMigrations(database, files, "2")).map(({ version }) => version)).toEqual(["1", "2"]);
    expect((await runMigrations(database, files)).done.map(({ version }) => version)).toEqual(["3"]);
    await expect(baselineMigrations(database, files, "3")).rejects.toThrow(/has 3 migrations already/);
    await repairMigration(database, files, "1", "undone");
    expect((await baselineMigrations(database, files, "3", { force: true })).map(({ version }) => version)).toEqual([
      "1",
    ]);
    expect((await readMigrationHistory(database)).map(({ isBaseline }) => isBaseline)).toEqual([true, true, false]);
  });

  test("a statement that turns out to refuse a transaction runs outside it", async () => {
    await using database = await open({
      setup: `CREATE TABLE t (a int);
CREATE PROCEDURE twice() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (1); COMMIT; INSERT INTO t VALUES (2); COMMIT; END';`,
    });
    await runMigrations(database, [phased("1_a.sql", "DO $$ BEGIN CALL twice(); END $$;\nINSERT INTO t VALUES (3);")]);
    expect((await database.query("SELECT a FROM t ORDER BY a")).rows).toEqual([{ a: 1 }, { a: 2 }, { a: 3 }]);
  });

  test("a syntax error in the last file stops the run before the first one", async () => {
    await using database = await open();
    const files = [migration("1_a.sql", "CREATE TABLE a ();"), migration("2_b.sql", "CREATE TABEL b ();")];
    await expect(runMigrations(database, files)).rejects.toThrow(
      /2_b.sql:2:8: syntax error at or near "TABEL"\n {2}CREATE TABEL b/,
    );
    expect(await exists(database, "a")).toEqual([false]);
  });

  test("a history of the first version is read as it is, and completed by the next run", async () => {
    await using database = await open({
      setup: `CREATE SCHEMA pgsteward; CREATE TABLE pgsteward.schema_migrations (version text PRIMARY KEY, name text NOT NULL,
checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), duration integer NOT NULL);`,
    });
    const files = [migration("1_a.sql", "CREATE TABLE a ();"), migration("2_b.sql", "CREATE TABLE b ();")];
    await database.query("INSERT INTO pgsteward.schema_migrations VALUES ('1', 'a', $1, now(), 5)", [
      files[0]?.checksum,
    ]);
    expect(await states(database, files)).toEqual(["1 applied", "2 pending"]);
    expect(await runMigrations(database, files)).toMatchObject({ done: [{ version: "2" }], appliedBefore: 1 });
    expect(await states(database, files)).toEqual(["1 applied", "2 applied"]);
  });
});
