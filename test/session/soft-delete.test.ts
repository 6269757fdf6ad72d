import { eq, gt } from "drizzle-orm";
import { getTableConfig, integer, pgTable, text, timestamp } from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory, defineTable, livingOnly, partialUnique } from "../../src/session/index.ts";
import { dialect } from "../../src/session/dialect.ts";
import { describeDatabases } from "../support/test-database.ts";

const deleted_at = timestamp({ withTimezone: true });
const teams = defineTable(pgTable("teams", { id: integer().primaryKey(), name: text().notNull(), deleted_at }), {
  softDelete: "deleted_at",
});
const users = defineTable(
  pgTable(
    "users",
    {
      id: integer().primaryKey(),
      email: text().notNull(),
      team_id: integer(),
      removed: timestamp("deleted_at", { withTimezone: true }),
      changes: integer()
        .notNull()
        .default(0)
        .$onUpdateFn(() => 1),
    },
    (t) => [partialUnique("uq_users_email", [t.email], t.removed)],
  ),
  { softDelete: "removed" },
);
const posts = defineTable(pgTable("posts", { id: integer().primaryKey(), user_id: integer(), deleted_at }), {
  softDelete: "deleted_at",
});
const tokens = defineTable(pgTable("tokens", { id: integer().primaryKey(), user_id: integer() }), { hardDelete: true });
const schema = {
  teams,
  users,
  posts,
  tokens,
  teamRelations: relations(teams, ({ many }) => ({ users: many(users) })),
  userRelations: relations(users, ({ one, many }) => ({
    team: one(teams, { fields: [users.team_id], references: [teams.id] }),
    posts: many(posts),
    tokens: many(tokens),
  })),
  postRelations: relations(posts, ({ one }) => ({
    user: one(users, { fields: [posts.user_id], references: [users.id] }),
  })),
  tokenRelations: relations(tokens, ({ one }) => ({
    user: one(users, { fields: [tokens.user_id], references: [users.id] }),
  })),
};

const SETUP = `
CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL, deleted_at timestamptz);
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, team_id int, deleted_at timestamptz, changes int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX uq_users_email ON users (email) WHERE deleted_at IS NULL;
CREATE TABLE posts (id int PRIMARY KEY, user_id int, deleted_at timestamptz);
CREATE TABLE tokens (id int PRIMARY KEY, user_id int);
INSERT INTO teams VALUES (1, 'red', NULL), (2, 'gone', now());
INSERT INTO users VALUES (1, 'ada', 1, NULL), (2, 'bob', 2, NULL), (3, 'cat', 1, now()), (4, 'dan', 1, NULL);
INSERT INTO posts VALUES (1, 1, NULL), (2, 1, now()), (3, 2, now()), (4, 3, NULL);
INSERT INTO tokens VALUES (1, 1), (2, 1), (3, 3);`;

describeDatabases((_, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    return {
      database,
      sessions: createSessionFactory(database, { guard: "off", schema }),
      [Symbol.asyncDispose]: () => database.close(),
    };
  };

  test("relational queries hide deleted rows, at every depth", async () => {
    await using fixture = await start();
    const [found, first, viaToken] = await fixture.sessions.run({}, (tx) => [
      tx.query.users.findMany({
        columns: { id: true },
        with: { posts: { columns: { id: true } }, team: true, tokens: true },
        orderBy: users.id,
      }),
      tx.query.users.findFirst({ where: eq(users.id, 3) }),
      tx.query.tokens.findMany({ with: { user: { with: { posts: true } } }, orderBy: tokens.id }),
    ]);
    expectTypeOf(found[0]?.posts).toEqualTypeOf<{ id: number }[] | undefined>();
    expect(found.map(({ id, posts: own, team }) => [id, own.map((post) => post.id), team?.name ?? null])).toEqual([
      [1, [1], "red"],
      [2, [], null],
      [4, [], "red"],
    ]);
    expect(first).toBeUndefined();
    expect(viaToken.map(({ user }) => user?.email ?? null)).toEqual(["ada", "ada", null]);
    expect(viaToken[0]?.user?.posts).toHaveLength(1);
  });

  test("a condition of one's own narrows the living, as SQL and as a function", async () => {
    await using fixture = await start();
    const [plain, called] = await fixture.sessions.run({}, (tx) => [
      tx.query.users.findMany({ where: gt(users.id, 2) }),
      tx.query.teams.findMany({
        where: (team, operators) => operators.gt(team.id, 0),
        with: { users: { where: (user, { eq: is }) => is(user.email, "dan"), limit: 5 } },
      }),
    ]);
    expect(plain.map(({ id }) => id)).toEqual([4]);
    expect(called).toMatchObject([{ id: 1, users: [{ id: 4 }] }]);
  });

  test("withDeleted shows all, in relational queries, helpers and nested units", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const all = tx.withDeleted();
      expect(await all.query.users.findMany({ with: { posts: true } })).toHaveLength(4);
      expect(await all.from(users)).toHaveLength(4);
      expect(await all.lock(users, [3, 4])).toHaveLength(2);
      expect(await all.begin((inner) => inner.from(teams))).toHaveLength(2);
      expect((await all.page(users, { limit: 9, total: "exact" })).total).toBe(4);
    });
  });

  test("from, lock, claim and pages of a table hide deleted rows", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const living = await tx.from(users);
      expectTypeOf(living).toEqualTypeOf<(typeof users.$inferSelect)[]>();
      expect(living).toHaveLength(3);
      expect((await tx.from(users).where(gt(users.id, 1)).orderBy(users.id)).map(({ id }) => id)).toEqual([2, 4]);
      expect(await tx.from(users).where(undefined)).toHaveLength(3);
      expect(await tx.from(tokens)).toHaveLength(3);
      expect((await tx.lock(users, [3, 4])).map(({ id }) => id)).toEqual([4]);
      expect(await tx.claim(users, { limit: 9, where: gt(users.id, 0) })).toHaveLength(3);
      expect((await tx.page(users, { limit: 9 })).rows).toHaveLength(3);
      expect(await tx.select().from(users).where(livingOnly(users))).toHaveLength(3);
      expect(livingOnly(tokens)).toBeUndefined();
    });
  });

  test("softDelete and restore count what changed, and touch nothing else", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.softDelete(users, [1, 3, 99])).toBe(1);
      expect(await tx.softDelete(users, eq(users.email, "bob"))).toBe(1);
      expect((await tx.from(users)).map(({ id }) => id)).toEqual([4]);
      const [ada] = await tx.withDeleted().from(users).where(eq(users.id, 1));
      expect(ada).toMatchObject({ removed: expect.any(Date), changes: 1 });
      expect(await tx.restore(users, [1, 4])).toBe(1);
      expect((await tx.from(users).orderBy(users.id)).map(({ id }) => id)).toEqual([1, 4]);
    });
  });

  test("a name is free again when its row is deleted, and its row cannot come back while it is taken", async () => {
    await using fixture = await start();
    await fixture.sessions.run({}, (tx) => [tx.insert(users).values({ id: 9, email: "cat" })]);
    await expect(fixture.sessions.run({}, (tx) => tx.restore(users, 3))).rejects.toMatchObject({
      code: "UNIQUE_VIOLATION",
    });
    await expect(
      fixture.sessions.run({}, (tx) => tx.insert(users).values({ id: 10, email: "cat" })),
    ).rejects.toMatchObject({ code: "UNIQUE_VIOLATION" });
  });

  test("rows go for good only where the table says so", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      expect(await tx.hardDelete(tokens, [1, 99])).toBe(1);
      expect(await tx.hardDelete(tokens, eq(tokens.user_id, 1))).toBe(1);
      const bad = { code: "INVALID_INPUT" };
      await expect(tx.hardDelete(users, 1)).rejects.toMatchObject(bad);
      await expect(tx.softDelete(tokens, 3)).rejects.toMatchObject(bad);
      await expect(tx.restore(tokens, 3)).rejects.toMatchObject(bad);
      await expect(tx.softDelete(users, undefined as never)).rejects.toMatchObject(bad);
      await expect(tx.softDelete("users" as never, 1)).rejects.toMatchObject(bad);
      expect(await tx.softDelete(users, [])).toBe(0);
    });
  });
});

test("partialUnique is a unique index among the living, for migrations to read", () => {
  const [index] = getTableConfig(users).indexes;
  expect(index?.config).toMatchObject({ name: "uq_users_email", unique: true });
  const where = index?.config.where;
  expect(where === undefined ? "" : dialect.sqlToQuery(where).sql).toContain('"deleted_at" IS NULL');
});
