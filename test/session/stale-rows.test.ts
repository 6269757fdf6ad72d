// Tracked rows that change beside the object: by others, by a flush under way, by a nested unit that is undone.
import { eq, sql } from "drizzle-orm";
import { expect, test } from "vitest";
import { describeDatabases } from "../support/test-database.ts";
import { docs, made, startTracked, versioned, type Tx } from "./tracked-tables.ts";

describeDatabases((_kind, open) => {
  const start = () => startTracked(open);

  test("refresh reads the row again and drops what was not flushed", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      const { state } = doc;
      doc.title = "dropped";
      await tx.update(docs).set({ count: 7 }).where(eq(docs.id, 1));
      await tx.refresh(doc, { lock: "update" });
      expect(doc).toMatchObject({ title: "one", count: 7 });
      expect(doc.state).toBe(state);
      doc.count++;
      await tx.delete(docs).where(eq(docs.id, 2));
    });
    expect(await fixture.rows("SELECT title, count FROM docs ORDER BY id")).toEqual([
      { title: "one", count: 8 },
      { title: "three", count: 0 },
    ]);
  });

  test("a row that was deleted meanwhile is stale", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      await tx.delete(docs).where(eq(docs.id, 1));
      await expect(tx.refresh(doc)).rejects.toMatchObject({ code: "STALE_ROW" });
      doc.title = "x";
    });
    await expect(work).rejects.toMatchObject({ code: "STALE_ROW" });
    expect(await fixture.rows("SELECT title FROM docs WHERE id = 1")).toEqual([{ title: "one" }]);
  });

  test("the version grows with each write and a stale write is refused", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const row = await tx.loadOrThrow(versioned, 1);
      row.title = "a";
      await tx.flush();
      expect(row.version).toBe(2);
      await tx.flush();
      if (row.state !== null) row.state["b"] = 1;
      await tx.flush();
      expect(row).toMatchObject({ version: 3, state: { a: 1, b: 1 } });
      await tx.update(versioned).set({ version: 10 });
      row.title = "stale";
      await expect(tx.flush()).rejects.toMatchObject({ code: "STALE_ROW" });
      await tx.refresh(row);
      expect(row).toMatchObject({ title: "a", version: 10 });
      row.title = "decided anew";
    });
    expect(await fixture.rows("SELECT title, version FROM versioned WHERE id = 1")).toEqual([
      { title: "decided anew", version: 11 },
    ]);
  });

  test("a guarded value that changed meanwhile makes the write stale, another does not", async () => {
    await using fixture = await start();
    const change = (statement: string) =>
      fixture.sessions.begin({}, async (tx) => {
        const doc = await tx.loadOrThrow(docs, 1, { guard: ["state.owner.id", ["state", "notes", "a.b"], "count"] });
        await tx.execute(sql.raw(`${statement} WHERE id = 1`));
        if (doc.state !== null) doc.state.owner.name = "x";
        await tx.flush();
        doc.title = `${doc.title}!`;
      });
    await change("UPDATE docs SET title = 'two', state = jsonb_set(state, '{tasks}', '[]')");
    await expect(change(`UPDATE docs SET state = jsonb_set(state, '{owner,id}', '"b"')`)).rejects.toMatchObject({
      code: "STALE_ROW",
    });
    await expect(change(`UPDATE docs SET state = state || '{"notes": {"a.b": null}}'`)).rejects.toMatchObject({
      code: "STALE_ROW",
    });
    await expect(change("UPDATE docs SET count = 1")).rejects.toMatchObject({ code: "STALE_ROW" });
    expect(await fixture.rows("SELECT title, state FROM docs WHERE id = 1")).toEqual([
      { title: "two!", state: { owner: { id: "a", name: "x" }, tasks: [] } },
    ]);
  });

  test("what is assigned while a flush is under way is written by the next", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      doc.count = 1;
      if (doc.state !== null) doc.state.owner.id = "first";
      const flushed = tx.flush();
      await Promise.resolve();
      await Promise.resolve();
      doc.count = 2;
      doc.title = "later";
      if (doc.state !== null) doc.state.owner.name = "later";
      await flushed;
      expect(doc).toMatchObject({ count: 2, title: "later", state: { owner: { id: "first", name: "later" } } });
    });
    expect(await fixture.rows("SELECT count, title, state->'owner' AS owner FROM docs WHERE id = 1")).toEqual([
      { count: 2, title: "later", owner: { id: "first", name: "later" } },
    ]);
  });

  test("a nested unit that fails takes its changes of tracked rows with it, and only those", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1);
      doc.count = 1;
      doc.title = "before";
      const failure = new Error("stop");
      let leaked: unknown;
      await expect(
        tx.begin(async (inner) => {
          doc.count = 2;
          await inner.flush();
          doc.title = "inside";
          leaked = inner.add(docs, { id: 9, title: "never" });
          await inner.flush();
          (await inner.loadOrThrow(docs, 2)).title = "never";
          inner.add(docs, { id: 10, title: "never" });
          throw failure;
        }),
      ).rejects.toBe(failure);
      expect(leaked).toMatchObject({ id: 9 });
      expect(doc).toMatchObject({ count: 1, title: "before" });
      expect(await tx.flush()).toEqual({ inserted: [], updated: [] });
      expect(await tx.load(docs, 9)).toBeUndefined();
      expect(await tx.load(docs, 2)).toMatchObject({ title: "two" });
      await tx.begin((inner) => {
        doc.count = 3;
        return inner.begin(() => void (doc.title = "after"));
      });
    });
    expect(await fixture.rows("SELECT id, count, title FROM docs ORDER BY id")).toEqual([
      { id: 1, count: 3, title: "after" },
      { id: 2, count: 0, title: "two" },
      { id: 3, count: 0, title: "three" },
    ]);
  });

  test("a row of a nested unit that was rolled back cannot be written afterwards", async () => {
    await using fixture = await start();
    const work = fixture.sessions.begin({}, async (tx) => {
      const leaked: { title: string }[] = [];
      await expect(
        tx.begin(async (inner) => {
          leaked.push(await inner.loadOrThrow(docs, 2), await inner.loadOrThrow(docs, 3));
          throw new Error("stop");
        }),
      ).rejects.toThrow("stop");
      for (const row of leaked) row.title = "late";
      await expect(tx.refresh(leaked[0] ?? {})).rejects.toMatchObject({ code: "INVALID_INPUT" });
    });
    await expect(work).rejects.toMatchObject({ code: "INVALID_INPUT" });
    expect(await fixture.rows("SELECT title FROM docs ORDER BY id")).toEqual([
      { title: "one" },
      { title: "two" },
      { title: "three" },
    ]);
  });

  test("a stale row inside a nested unit fails that nested unit", async () => {
    await using fixture = await start();
    await fixture.sessions.begin({}, async (tx) => {
      const row = await tx.loadOrThrow(versioned, 1);
      await tx.update(versioned).set({ version: 5 });
      await expect(tx.begin(() => void (row.title = "stale"))).rejects.toMatchObject({ code: "STALE_ROW" });
      expect(row.title).toBe("one");
    });
    expect(await fixture.rows("SELECT title FROM versioned WHERE id = 1")).toEqual([{ title: "one" }]);
  });

  test("what is written with COMMIT is refused with it", async () => {
    await using fixture = await start();
    const { sessions } = fixture;
    const refused = (work: (doc: { title: string; count: number }, tx: Tx) => unknown) =>
      sessions.begin({}, async (tx) => {
        tx.add(docs, { id: 9, title: "never" });
        await work(await tx.loadOrThrow(docs, 1, { lock: "update" }), tx);
      });
    const stale = refused(async (doc, tx) => {
      doc.title = "gone";
      await tx.delete(docs).where(eq(docs.id, 1));
    });
    await expect(stale).rejects.toMatchObject({ code: "STALE_ROW" });
    const full = refused((doc, tx) => {
      doc.title = "full";
      tx.add(docs, { id: 2, title: "double" });
    });
    await expect(full).rejects.toMatchObject({ code: "UNIQUE_VIOLATION", constraint: "docs_pkey" });
    const wrong = refused((doc) => {
      doc.count = 2 ** 40;
    });
    await expect(wrong).rejects.toMatchObject({ code: "INVALID_VALUE" });
    expect(await fixture.rows("SELECT id, title FROM docs ORDER BY id")).toEqual([
      { id: 1, title: "one" },
      { id: 2, title: "two" },
      { id: 3, title: "three" },
    ]);
    expect(fixture.database.leases()).toEqual([]);
    const [first, second] = await sessions.begin({}, async (tx) => {
      const doc = await tx.loadOrThrow(docs, 1, { lock: "update" });
      doc.title = "written";
      return [doc, tx.add(made, { title: "Added" })] as const;
    });
    expect([first.title, second.slug]).toEqual(["written", "added"]);
    expect(await fixture.rows("SELECT title FROM docs WHERE id = 1")).toEqual([{ title: "written" }]);
  });
});
