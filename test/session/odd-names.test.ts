import { gt, sql } from "drizzle-orm";
import { integer, pgSchema, text, timestamp } from "drizzle-orm/pg-core";
import { expect, test } from "vitest";
import { createSessionFactory, defineTable } from "../../src/session/index.ts";
import { describeDatabases } from "../support/test-database.ts";

const odd = defineTable(
  pgSchema('My "Schema" $1').table('select "x" $1', {
    id: integer("The Id").primaryKey(),
    body: text('bo"dy $2').notNull(),
    position: integer("position").notNull(),
    gone: timestamp("user"),
  }),
  { softDelete: "gone", hardDelete: true },
);
const NAME = '"My ""Schema"" $1"."select ""x"" $1"';
const SETUP = `DROP SCHEMA IF EXISTS "My ""Schema"" $1" CASCADE; CREATE SCHEMA "My ""Schema"" $1";
CREATE TABLE ${NAME} ("The Id" int PRIMARY KEY, "bo""dy $2" text NOT NULL, "position" int NOT NULL, "user" timestamp);`;

describeDatabases((kind, open) => {
  test("schemas, tables and columns may have any name", async () => {
    await using database = await open({ setup: SETUP });
    const sessions = createSessionFactory(database, { guard: "off" });
    await sessions.begin({}, async (tx) => {
      const rows = [
        { id: 1, body: "a", position: 3 },
        { id: 2, body: "b", position: 2 },
        { id: 3, body: "c", position: 1 },
      ];
      expect((await tx.bulkInsert(odd, rows, { returning: true })).rows).toHaveLength(3);
      expect(await tx.bulkUpdate(odd, [{ id: 2, body: "B" }])).toEqual({ count: 1, missing: [] });
      const target = odd.id;
      expect(
        (
          await tx.upsert(
            odd,
            [
              { id: 3, body: "C", position: 1 },
              { id: 4, body: "d", position: 0 },
            ],
            { target, where: gt(odd.id, 3) },
          )
        ).map(({ row, inserted }) => [row?.body, inserted]),
      ).toEqual([
        ["c", false],
        ["d", true],
      ]);
      expect(
        (
          await tx.upsert(
            odd,
            { id: 4, body: "e", position: 9 },
            { set: { body: sql`${odd.body} || excluded.${sql.identifier('bo"dy $2')}` } },
          )
        )[0]?.row.body,
      ).toBe("de");
      expect((await tx.lock(odd, [1, 4], { of: odd, wait: "skip" })).map(({ id }) => id)).toEqual([1, 4]);
      expect((await tx.claim(odd, { where: gt(odd.position, 0), orderBy: odd.position }))[0]?.id).toBe(3);
      const page = await tx.page(odd, {
        orderBy: { column: odd.position, direction: "desc" },
        limit: 2,
        total: "exact",
      });
      expect(page).toMatchObject({ rows: [{ id: 1 }, { id: 2 }], total: 4 });
      expect(
        (await tx.page(odd, { orderBy: { column: odd.position, direction: "desc" }, limit: 2, after: page.nextCursor }))
          .rows,
      ).toMatchObject([{ id: 3 }, { id: 4 }]);
      for await (const { id } of tx.stream(tx.from(odd))) expect(id).toBeGreaterThan(0);
      expect([await tx.softDelete(odd, 1), await tx.restore(odd, 1), await tx.hardDelete(odd, 1)]).toEqual([1, 1, 1]);
      expect(await tx.exists(tx.select().from(odd))).toBe(true);
    });
    await expect(
      sessions.begin({}, (tx) => tx.bulkInsert(odd, [{ id: 2, body: "x", position: 1 }])),
    ).rejects.toMatchObject({ rowIndex: 0 });
  });
  if (kind === "server") {
    test("COPY takes any name too, and names the row at fault", async () => {
      await using database = await open({ setup: SETUP });
      const sessions = createSessionFactory(database, { guard: "off" });
      await sessions.begin({}, async (tx) => {
        expect(await tx.copyIn(odd, ["id", "body", "position"], ["1\ta\t1\n"])).toBe(1);
        await expect(tx.copyIn(odd, ["id", "body", "position"], ["2\ta\t1\n1\ta\t1\n"])).rejects.toMatchObject({
          rowIndex: 1,
        });
        const again = tx.bulkInsert(odd, [{ id: 1, body: "x", position: 1 }], {
          method: "copy",
          onConflict: { target: odd.id },
        });
        expect(await again).toMatchObject({ count: 1, method: "copy through a temporary table" });
        const parts: string[] = [];
        for await (const part of tx.copyOut(odd, { format: "csv" })) parts.push(part.toString());
        expect(parts.join("")).toBe("1,x,1,\n");
      });
    });
  }
});
