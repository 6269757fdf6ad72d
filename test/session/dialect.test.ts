// The shorter way from a query to its text gives what Drizzle's own dialect gives: text and parameters, or the same error.
import {
  and,
  asc,
  between,
  desc,
  eq,
  exists,
  getTableName,
  gt,
  inArray,
  isNull,
  Name,
  or,
  Param,
  type SQL,
  sql,
} from "drizzle-orm";
import {
  alias,
  integer,
  jsonb,
  type PgColumn,
  PgDialect,
  pgEnum,
  pgSchema,
  pgTable,
  pgView,
  QueryBuilder,
  text,
  timestamp,
  union,
  uuid,
} from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { dialect } from "../../src/session/dialect.ts";

const mood = pgEnum("mood", ["low", "high"]);
const tasks = pgTable("tasks", {
  id: uuid().primaryKey(),
  ownerId: uuid("owner_id").notNull(),
  title: text('the "title"').notNull(),
  rank: integer(),
  state: jsonb().$type<{ done: boolean }>(),
  mood: mood(),
  createdAt: timestamp("created_at", { withTimezone: true }).notNull(),
});
const audit = pgSchema('odd "schema"').table("entries", { id: integer().primaryKey(), taskId: uuid("task_id") });
const open = pgView("open_tasks").as((qb) => qb.select({ id: tasks.id }).from(tasks).where(isNull(tasks.rank)));
const other = alias(tasks, "other");
const id = "0195a6a0-0000-7000-8000-000000000001";
const at = new Date("2026-01-02T03:04:05.678Z");

/** Each is built anew for either dialect, twice for ours: the second time what was learnt is used. */
const queries: Record<string, (qb: QueryBuilder) => { toSQL(): unknown }> = {
  "all columns": (qb) => qb.select().from(tasks),
  "some columns under other names": (qb) => qb.select({ key: tasks.id, name: tasks.title }).from(tasks),
  "the same columns in another order": (qb) => qb.select({ name: tasks.title, key: tasks.id }).from(tasks),
  "the same columns under other names": (qb) => qb.select({ a: tasks.id, b: tasks.title }).from(tasks),
  "a condition with values": (qb) =>
    qb
      .select()
      .from(tasks)
      .where(and(eq(tasks.id, id), or(gt(tasks.rank, 3), isNull(tasks.mood)), between(tasks.createdAt, at, at))),
  "a list of values": (qb) =>
    qb
      .select()
      .from(tasks)
      .where(inArray(tasks.id, [id, id])),
  "order, limit and offset": (qb) =>
    qb
      .select()
      .from(tasks)
      .orderBy(desc(tasks.rank), asc(tasks.id), sql`random()`)
      .limit(10)
      .offset(20),
  "limit 0 and offset 0": (qb) => qb.select().from(tasks).limit(0).offset(0),
  "a negative limit": (qb) => qb.select().from(tasks).limit(-1),
  placeholders: (qb) =>
    qb
      .select()
      .from(tasks)
      .where(and(eq(tasks.id, sql.placeholder("id")), sql`${tasks.rank} > ${sql.placeholder("rank")}`))
      .limit(sql.placeholder("limit"))
      .offset(sql.placeholder("offset")),
  "an expression among the columns": (qb) =>
    qb
      .select({ id: tasks.id, n: sql<number>`count(*)`.as("n") })
      .from(tasks)
      .groupBy(tasks.id),
  "group by and having": (qb) =>
    qb
      .select({ rank: tasks.rank })
      .from(tasks)
      .groupBy(tasks.rank)
      .having(sql`count(*) > ${2}`),
  distinct: (qb) => qb.selectDistinct({ rank: tasks.rank }).from(tasks),
  "distinct on": (qb) => qb.selectDistinctOn([tasks.rank], { rank: tasks.rank }).from(tasks),
  "a lock": (qb) => qb.select().from(tasks).for("update", { skipLocked: true }),
  "a lock of a table": (qb) => qb.select().from(tasks).for("update", { of: tasks, noWait: true }),
  "a join": (qb) => qb.select().from(tasks).leftJoin(audit, eq(audit.taskId, tasks.id)).where(eq(tasks.title, "a")),
  "an alias": (qb) => qb.select().from(other).where(eq(other.id, id)),
  "an alias made for the query": (qb) => {
    const once = alias(tasks, "once");
    return qb.select({ id: once.id }).from(once).where(eq(once.id, id));
  },
  "a join with itself": (qb) =>
    qb.select({ a: tasks.id, b: other.id }).from(tasks).innerJoin(other, eq(tasks.id, other.ownerId)),
  "a table in a schema": (qb) => qb.select().from(audit).where(eq(audit.id, 1)),
  "a view": (qb) => qb.select().from(open),
  "a subquery in the condition": (qb) =>
    qb
      .select()
      .from(tasks)
      .where(inArray(tasks.id, qb.select({ id: audit.taskId }).from(audit).where(gt(audit.id, 5)))),
  exists: (qb) =>
    qb
      .select()
      .from(tasks)
      .where(exists(qb.select({ id: audit.id }).from(audit).where(eq(audit.taskId, tasks.id)))),
  "a subquery in FROM": (qb) => {
    const recent = qb.select({ id: tasks.id, rank: tasks.rank }).from(tasks).where(gt(tasks.rank, 1)).as("recent");
    return qb.select().from(recent).where(eq(recent.id, id));
  },
  "a common table expression": (qb) => {
    const ranked = qb.$with("ranked").as(qb.select().from(tasks).where(gt(tasks.rank, 1)));
    return qb.with(ranked).select().from(ranked);
  },
  "a set operation": (qb) =>
    union(
      qb.select({ id: tasks.id }).from(tasks).where(eq(tasks.rank, 1)) as never,
      qb.select({ id: audit.taskId }).from(audit) as never,
    )
      .orderBy(sql`1`)
      .limit(3),
};

for (const [name, build] of Object.entries(queries)) {
  test(`${name}: text and parameters are Drizzle's`, () => {
    const expected = build(new QueryBuilder(new PgDialect())).toSQL();
    const own = new QueryBuilder(dialect);
    expect(build(own).toSQL()).toEqual(expected);
    expect(build(own).toSQL()).toEqual(expected);
    expect(build(own).toSQL()).toEqual(expected);
  });
}

const pieces: Record<string, SQL> = {
  "values of every kind": sql`SELECT ${1}, ${"a"}, ${true}, ${null}, ${10n}, ${at}, ${Buffer.from("x")}, ${{ a: 1 }}`,
  "arrays, nested and empty": sql`SELECT ${[1, "a", null, [tasks.id, sql`now()`]]}, ${[]}, ${sql.param([1, 2])}`,
  "names, raw text and undefined": sql`SELECT ${new Name('a "b"')}, ${sql.raw("now()")}, ${undefined} ${sql.identifier("x")} ${sql.empty()}`,
  "encoded values": sql`SELECT ${new Param({ done: true }, tasks.state)}, ${new Param(null, tasks.state)}, ${new Param(at, tasks.createdAt)}`,
  "a value that is encoded as SQL": sql`SELECT ${new Param(1, { mapToDriverValue: () => sql`upper(${"a"})` })}, ${2}`,
  "values written into the text": sql`SELECT ${sql`${1} + ${"a'b"}`.inlineParams()}, ${3}`,
  "tables, columns, a view, an enum and an alias": sql`SELECT ${tasks.title}, ${other.id}, ${audit.id} FROM ${tasks}, ${audit}, ${open}, ${other} ${mood}`,
  "an alias of an expression": sql`SELECT ${sql`now()`.as("at")} ORDER BY ${sql`now()`.as("at")}`,
  "an appended piece": sql`SELECT 1`.append(sql` + ${2}`),
};
for (const [name, piece] of Object.entries(pieces)) {
  test(`${name}: text and parameters are Drizzle's`, () => {
    const expected = new PgDialect().sqlToQuery(piece);
    const { sql: written, params } = dialect.sqlToQuery(piece);
    expect({ sql: written, params }).toEqual({ sql: expected.sql, params: expected.params });
  });
}

test("a column of a table that is not in the query is refused, also after good queries of the same table", () => {
  const qb = new QueryBuilder(dialect);
  for (let round = 0; round < 3; round++) {
    qb.select().from(tasks).toSQL();
    expect(() => qb.select({ id: audit.id }).from(tasks).toSQL()).toThrow(
      `"${getTableName(audit)}" is not part of the query`,
    );
  }
});

test("a program that selects other columns each time gets the right text beyond the number that is remembered", () => {
  const names = ["id", "ownerId", "title", "rank", "state", "mood"] as const;
  const subsets = Array.from({ length: 63 }, (_, bits) =>
    Object.fromEntries(names.filter((_name, index) => ((bits + 1) >> index) & 1).map((name) => [name, tasks[name]])),
  );
  for (const fields of [...subsets, ...subsets]) {
    const own = new QueryBuilder(dialect).select(fields).from(tasks).toSQL();
    expect(own).toEqual(new QueryBuilder(new PgDialect()).select(fields).from(tasks).toSQL());
  }
});

test("a selection that a program changes between two queries is read anew", () => {
  const fields: Record<string, PgColumn> = { id: tasks.id };
  const build = (): string => new QueryBuilder(dialect).select(fields).from(tasks).toSQL().sql;
  const texts = [build(), build(), build()];
  fields["rank"] = tasks.rank;
  expect([...texts, build(), build()]).toEqual([
    'select "id" from "tasks"',
    'select "id" from "tasks"',
    'select "id" from "tasks"',
    'select "id", "rank" from "tasks"',
    'select "id", "rank" from "tasks"',
  ]);
});
