import { asc, desc, eq, gt, sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgSchema,
  pgTable,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";
import { relations } from "drizzle-orm/relations";
import { expect, expectTypeOf, test } from "vitest";
import { createSessionFactory, defineTable } from "../../src/session/index.ts";
import { describeDatabases, testDatabase } from "../support/test-database.ts";

const authors = pgTable("authors", {
  id: integer().primaryKey(),
  name: text().notNull(),
  chiefId: integer("chief_id"),
});
const posts = pgTable("posts", {
  id: integer().primaryKey(),
  // Wider than the column it refers to: 1n and 1 are one key.
  authorId: bigint("author_id", { mode: "bigint" }),
  title: text().notNull(),
  state: jsonb().$type<{ likes: number }>(),
  createdAt: timestamp("created_at", { withTimezone: true }),
});
const comments = defineTable(
  pgTable("comments", {
    id: integer().primaryKey(),
    postId: integer("post_id").notNull(),
    body: text().notNull(),
    deletedAt: timestamp("deleted_at"),
  }),
  { softDelete: "deletedAt" },
);
const mood = pgEnum("mood", ["calm", "so so"]);
const app = pgSchema("app");
const runs = app.table("runs", {
  tenant: uuid().notNull(),
  number: integer().notNull(),
  kind: mood().notNull(),
  amount: numeric().notNull(),
});
const steps = app.table("steps", {
  id: integer().primaryKey(),
  tenant: uuid().notNull(),
  run: integer().notNull(),
  kind: mood(),
  amount: numeric(),
  done: boolean(),
});
const lonely = pgTable("lonely", { id: integer().primaryKey() });

const schema = {
  authors,
  posts,
  comments,
  runs,
  steps,
  lonely,
  authorRelations: relations(authors, ({ one, many }) => ({
    posts: many(posts),
    chief: one(authors, { fields: [authors.chiefId], references: [authors.id], relationName: "chief" }),
    reports: many(authors, { relationName: "chief" }),
  })),
  postRelations: relations(posts, ({ one, many }) => ({
    author: one(authors, { fields: [posts.authorId as never], references: [authors.id] }),
    comments: many(comments),
  })),
  commentRelations: relations(comments, ({ one }) => ({
    post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  })),
  runRelations: relations(runs, ({ many }) => ({
    steps: many(steps, { relationName: "key" }),
    sameKind: many(steps, { relationName: "kind" }),
    sameAmount: many(steps, { relationName: "amount" }),
  })),
  stepRelations: relations(steps, ({ one }) => ({
    run: one(runs, { fields: [steps.tenant, steps.run], references: [runs.tenant, runs.number], relationName: "key" }),
    ofKind: one(runs, { fields: [steps.kind], references: [runs.kind], relationName: "kind" }),
    ofAmount: one(runs, { fields: [steps.amount], references: [runs.amount], relationName: "amount" }),
  })),
  lonelyRelations: relations(lonely, ({ many }) => ({ broken: many(comments) })),
};

const T = "00000000-0000-4000-8000-00000000000a";
const SETUP = `
CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL, chief_id int);
CREATE TABLE posts (id int PRIMARY KEY, author_id bigint, title text NOT NULL, state jsonb, created_at timestamptz);
CREATE TABLE comments (id int PRIMARY KEY, post_id int NOT NULL, body text NOT NULL, deleted_at timestamp);
CREATE TABLE lonely (id int PRIMARY KEY);
INSERT INTO lonely VALUES (1);
INSERT INTO authors VALUES (1, 'ada', NULL), (2, 'bob', 1), (3, 'cyd', 1);
INSERT INTO posts SELECT n, CASE WHEN n <= 6 THEN 1 + n % 2 END, 'p' || n, jsonb_build_object('likes', n), '2026-01-01Z'::timestamptz + n * interval '1 day' FROM generate_series(1, 7) AS n;
INSERT INTO comments SELECT n, 1 + n % 3, 'c' || n, CASE WHEN n = 12 THEN now() END FROM generate_series(1, 12) AS n;
CREATE SCHEMA app; CREATE TYPE mood AS ENUM ('calm', 'so so');
CREATE TABLE app.runs (tenant uuid, number int, kind mood NOT NULL, amount numeric NOT NULL, PRIMARY KEY (tenant, number));
CREATE TABLE app.steps (id int PRIMARY KEY, tenant uuid NOT NULL, run int NOT NULL, kind mood, amount numeric, done bool);
INSERT INTO app.runs VALUES ('${T}', 1, 'calm', 1.0), ('${T}', 2, 'so so', 2);
INSERT INTO app.steps VALUES (1, '${T}', 1, 'calm', 1.00, true), (2, '${T}', 2, 'calm', 1, false), (3, '${T}', 1, NULL, NULL, NULL);`;

describeDatabases((_kind, open) => {
  const start = async () => {
    const database = await open({ setup: SETUP });
    const texts: string[] = [];
    const flushes: number[] = [];
    const sessions = createSessionFactory(database, {
      schema,
      guard: "off",
      observers: [
        {
          flushed: ({ statements }) => {
            flushes.push(statements.length);
            texts.push(...statements.map(({ statement }) => statement.text));
          },
        },
      ],
    });
    return { database, sessions, texts, flushes, [Symbol.asyncDispose]: () => database.close() };
  };

  test("one statement loads a relation for any number of rows, as Drizzle's relational query gives it", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const expected = await tx.query.authors.findMany({
        with: { posts: { orderBy: asc(posts.id) } },
        orderBy: asc(authors.id),
      });
      const rows = await tx.select().from(authors).orderBy(authors.id);
      const before = fixture.texts.length;
      const loaded = await tx.related(authors, rows, { posts: { orderBy: asc(posts.id) } });
      expect(fixture.texts.slice(before)).toHaveLength(1);
      expect(fixture.texts.at(-1)).toContain("= ANY ($1)");
      expect(loaded).toEqual(expected);
      expect(loaded[0]).toBe(rows[0]);
      expect(loaded.map(({ posts: own }) => own.length)).toEqual([3, 3, 0]);
    });
  });

  test("relations nest and those side by side travel in one flush", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const rows = await tx.select().from(authors).orderBy(authors.id);
      const before = fixture.flushes.length;
      const loaded = await tx.related(authors, rows, {
        chief: true,
        reports: { orderBy: (author, { desc: down }) => down(author.id) },
        posts: {
          orderBy: [desc(posts.id)],
          where: (post, { lt }) => lt(post.id, 6),
          with: { comments: { where: gt(comments.id, 3) }, author: { with: { chief: true } } },
        },
      });
      expect(fixture.flushes.slice(before)).toEqual([3, 2, 1]);
      expect(loaded[1]).toMatchObject({ name: "bob", chief: { name: "ada" }, reports: [] });
      expect(loaded[0]).toMatchObject({ chief: null, reports: [{ id: 3 }, { id: 2 }] });
      expect(loaded[1]?.posts.map(({ id }) => id)).toEqual([5, 3, 1]);
      const [, third] = loaded[1]?.posts ?? [];
      expect(third?.comments.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual([5, 8, 11]);
      expect(third?.author).toMatchObject({ name: "bob", chief: { name: "ada" } });
    });
  });

  test("a limit holds for each parent, in the order that was asked for", async () => {
    await using fixture = await start();
    const loaded = await fixture.sessions.begin({}, async (tx) =>
      tx.related(authors, await tx.select().from(authors).orderBy(authors.id), {
        posts: { limit: 2, orderBy: desc(posts.createdAt), with: { comments: { limit: 1, orderBy: comments.id } } },
      }),
    );
    expect(loaded.map((author) => author.posts.map(({ id }) => id))).toEqual([[6, 4], [5, 3], []]);
    expect(loaded[1]?.posts[1]?.comments.map(({ id }) => id)).toEqual([2]);
    const none = await fixture.sessions.begin({}, async (tx) =>
      tx.related(authors, await tx.select().from(authors), { posts: { limit: 0 } }),
    );
    expect(none.every((author) => author.posts.length === 0)).toBe(true);
  });

  test("keys of several columns, enums and numbers written differently meet by the server's comparison", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const loaded = await tx.related(runs, await tx.select().from(runs).orderBy(runs.number), {
        steps: { orderBy: desc(steps.id) },
        sameKind: { orderBy: steps.id },
        sameAmount: { orderBy: steps.id, limit: 5 },
      });
      expect(
        loaded.map((run) => [run.steps, run.sameKind, run.sameAmount].map((own) => own.map(({ id }) => id))),
      ).toEqual([
        [
          [3, 1],
          [1, 2],
          [1, 2],
        ],
        [[2], [], []],
      ]);
      const back = await tx.related(steps, await tx.select().from(steps).orderBy(steps.id), {
        run: true,
        ofKind: true,
        ofAmount: true,
      });
      expect(back.map((step) => [step.run, step.ofKind, step.ofAmount].map((run) => run?.number))).toEqual([
        [1, 1, 1],
        [2, 1, 1],
        [1, undefined, undefined],
      ]);
      expect(back[2]?.ofKind).toBeNull();
    });
  });

  test("rows of any origin will do, several of one key too, and no rows send nothing", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const loaded = await tx.related(authors, [{ id: 1 }, { id: 1 }, { id: 77 }], { posts: { orderBy: posts.id } });
      expect(loaded.map((author) => author.posts.map(({ id }) => id))).toEqual([[2, 4, 6], [2, 4, 6], []]);
      expect(loaded[0]?.posts).not.toBe(loaded[1]?.posts);
      const sent = fixture.texts.length;
      expect(await tx.related(authors, [], { posts: true })).toEqual([]);
      expect(await tx.related(posts, [{ authorId: null }], { author: true })).toEqual([
        { authorId: null, author: null },
      ]);
      expect(fixture.texts).toHaveLength(sent);
    });
  });

  test("soft-deleted rows are left out unless they are asked for", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const ids = async (withDeleted: boolean) => {
        const [post] = await tx.related(posts, [{ id: 1 }], { comments: { withDeleted, orderBy: comments.id } });
        return post?.comments.map(({ id }) => id);
      };
      expect(await ids(false)).toEqual([3, 6, 9]);
      expect(await ids(true)).toEqual([3, 6, 9, 12]);
      const [all] = await tx.withDeleted().related(posts, [{ id: 1 }], { comments: { orderBy: comments.id } });
      expect(all?.comments.map(({ id }) => id)).toEqual([3, 6, 9, 12]);
      expect(await tx.load(comments, 12)).toBeUndefined();
      expect(await tx.withDeleted().load(comments, 12)).toMatchObject({ id: 12 });
    });
  });

  test("rows loaded with a tracked row are tracked too", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const author = await tx.loadOrThrow(authors, 2, {
        lock: "update",
        with: { posts: { orderBy: posts.id, with: { comments: true } }, chief: true },
      });
      const [post] = author.posts;
      if (post?.state) post.state.likes = 100;
      if (author.chief !== null) author.chief.name = "Ada";
      for (const comment of post?.comments ?? []) comment.body = "changed";
      const { updated } = await tx.flush();
      expect(await tx.load(posts, 1)).toBe(post);
      expect(updated).toHaveLength(2 + (post?.comments.length ?? 0));
    });
    const { rows } = await fixture.database.query(
      "SELECT (SELECT state FROM posts WHERE id = 1) AS state, (SELECT name FROM authors WHERE id = 1) AS name, (SELECT count(*)::int FROM comments WHERE body = 'changed') AS count",
    );
    expect(rows).toEqual([{ state: { likes: 100 }, name: "Ada", count: 3 }]);
    expect(await fixture.sessions.begin({}, (tx) => tx.load(authors, 99, { with: { posts: true } }))).toBeUndefined();
  });

  test("thousands of rows come in one statement", async () => {
    await using fixture = await start();
    await fixture.database.exec(
      "TRUNCATE authors, posts; INSERT INTO authors SELECT n, 'a' || n FROM generate_series(1, 3000) AS n; INSERT INTO posts SELECT n, 1 + n % 3000, 'p' FROM generate_series(1, 6000) AS n",
    );
    const loaded = await fixture.sessions.begin({}, async (tx) =>
      tx.related(authors, await tx.select().from(authors), { posts: true }),
    );
    expect(loaded).toHaveLength(3000);
    expect(
      loaded.every(
        (author) => author.posts.length === 2 && author.posts.every((post) => post.authorId === BigInt(author.id)),
      ),
    ).toBe(true);
  });

  test("rows of other units stay hidden behind row-level security", async () => {
    await using fixture = await start();
    await fixture.database
      .exec(`DO $$ BEGIN CREATE ROLE relations_test_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
      GRANT USAGE ON SCHEMA app TO relations_test_app; GRANT SELECT, UPDATE ON app.runs, app.steps TO relations_test_app;
      INSERT INTO app.steps VALUES (9, '00000000-0000-4000-8000-00000000000b', 1, 'calm', 1, true);
      ALTER TABLE app.steps ENABLE ROW LEVEL SECURITY;
      CREATE POLICY own ON app.steps USING (tenant = nullif(current_setting('app.tenant_id', true), '')::uuid);`);
    const sessions = createSessionFactory(fixture.database, { schema, guard: "off", role: "relations_test_app" });
    const [loaded] = await sessions.begin({ tenantId: T }, (tx) =>
      tx.related(runs, [{ kind: "calm" as const }], { sameKind: { orderBy: steps.id } }),
    );
    expect(loaded?.sameKind.map(({ id }) => id)).toEqual([1, 2]);
    await sessions.begin({ tenantId: T }, async (tx) => {
      expect(await tx.load(steps, 9, { lock: "update" })).toBeUndefined();
      await expect(tx.loadOrThrow(steps, 9)).rejects.toMatchObject({ code: "ROW_NOT_FOUND" });
    });
  });

  test("what cannot be loaded is refused before anything is sent", async () => {
    await using fixture = await start();
    const bad: ((tx: Parameters<Parameters<typeof fixture.sessions.begin>[1]>[0]) => Promise<unknown>)[] = [
      (tx) => tx.related(authors, [{ id: 1 }], { nothing: true } as never),
      (tx) => tx.related(authors, [{ id: 1 }], { constructor: true } as never),
      (tx) => tx.related(authors, [{ name: "no key" }], { posts: true }),
      (tx) => tx.related(authors, [{ id: 1 }], { posts: { limit: -1 } }),
      (tx) => tx.related(authors, [{ id: 1 }], { posts: { limit: 1.5 } }),
      (tx) => tx.related(authors, [{ id: 1 }], { posts: { take: 1 } as never }),
      (tx) => tx.related(authors, [{ id: 1 }], { posts: "yes" as never }),
      (tx) => tx.related(authors, [{ id: 1, chiefId: 1 }], { chief: { limit: 1 } as never }),
      (tx) => tx.related(lonely, [{ id: 1 }], { broken: true }),
    ];
    for (const work of bad)
      await expect(fixture.sessions.begin({}, work)).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(fixture.texts).toEqual([]);
    const bare = createSessionFactory(fixture.database, { guard: "off" });
    await expect(
      bare.begin({}, (tx) => tx.related(authors, [{ id: 1 }], { posts: true } as never)),
    ).rejects.toMatchObject({ code: "INVALID_INPUT", hint: expect.stringContaining("schema") as string });
    await expect(bare.begin({}, (tx) => tx.load(authors, 1, { with: { posts: true } as never }))).rejects.toMatchObject(
      { code: "INVALID_INPUT" },
    );
  });
});

test("a relation that was not loaded is a type error", () => {
  const sessions = null as unknown as ReturnType<typeof createSessionFactory<typeof schema>>;
  const typed = () =>
    sessions.begin({}, async (tx) => {
      const author = await tx.loadOrThrow(authors, 1, {
        with: { posts: { limit: 1, with: { comments: true } }, chief: true },
      });
      expectTypeOf(author.posts[0]?.comments[0]?.body).toEqualTypeOf<string | undefined>();
      expectTypeOf(author.chief).toEqualTypeOf<typeof authors.$inferSelect | null>();
      // @ts-expect-error not loaded
      expect(author.reports).toBeDefined();
      // @ts-expect-error not loaded further down
      expect(author.posts[0]?.author).toBeDefined();
      const plain = await tx.loadOrThrow(authors, 1);
      // @ts-expect-error not loaded
      expect(plain.posts).toBeDefined();
      // @ts-expect-error no such relation
      await tx.loadOrThrow(authors, 1, { with: { post: true } });
      // @ts-expect-error no such relation further down
      await tx.loadOrThrow(authors, 1, { with: { posts: { with: { writer: true } } } });
      // @ts-expect-error one row has no limit
      await tx.loadOrThrow(authors, 1, { with: { chief: { limit: 1 } } });
      const [row] = await tx.related(authors, [{ id: 1 }], { posts: true });
      expectTypeOf(row?.posts).toEqualTypeOf<(typeof posts.$inferSelect)[] | undefined>();
      // @ts-expect-error not loaded
      expect(row?.chief).toBeDefined();
      // @ts-expect-error a table without relations in the schema
      await tx.related(lonely, [{ id: 1 }], { posts: true });
      return tx
        .select({ one: sql<number>`1` })
        .from(authors)
        .where(eq(authors.id, 1));
    });
  expectTypeOf(typed).toBeFunction();
});

const folders = pgTable("folders", { path: text().primaryKey() });
const files = pgTable("files", { id: integer().primaryKey(), folder: text().notNull() });
const fileSchema = {
  folders,
  files,
  folderRelations: relations(folders, ({ many }) => ({ files: many(files) })),
  fileRelations: relations(files, ({ one }) => ({
    folder: one(folders, { fields: [files.folder], references: [folders.path] }),
  })),
};

test("text keys that look like UUIDs and differ in case only are different keys", async () => {
  const lower = "0000000a-0000-4000-8000-00000000000a";
  const upper = lower.toUpperCase();
  await using database = await testDatabase({
    setup: `CREATE TABLE folders (path text PRIMARY KEY); CREATE TABLE files (id int PRIMARY KEY, folder text NOT NULL);
            INSERT INTO folders VALUES ('${lower}'), ('${upper}'); INSERT INTO files VALUES (1, '${lower}'), (2, '${upper}');`,
  });
  const sessions = createSessionFactory(database, { schema: fileSchema, guard: "off" });
  const loaded = await sessions.begin({}, async (tx) =>
    tx.related(folders, [{ path: lower }, { path: upper }], { files: true }),
  );
  expect(loaded.map(({ files: own }) => own.map(({ id }) => id))).toEqual([[1], [2]]);
});
