// Every pair of the corpus is reached, left again, and reached again, with the rows that the change allows to keep. Called by
// two test files, each with every other pair, so that two workers share the longest of all tests.
import { afterAll, describe, expect, test } from "vitest";
import { describeDatabases, type TestDatabase } from "../support/test-database.ts";
import { travelAgain, travelFromHalfway } from "./corpus-again.ts";
import { CORPUS, travel } from "./corpus.ts";

/** Cases for the embedded database, which runs the same code: one in so many. */
const PGLITE_SHARE = 6;

/** Cases whose plans run twice, one in so many, and those that are stopped halfway. */
const AGAIN_SHARE = { server: 20, pglite: 78 } as const;
const HALFWAY_SHARE = 78;
/** Their statements look at more than their own object. */
const ALWAYS_AGAIN: ReadonlySet<string> = new Set(["inheritance-parents-reordered"]);

/** @param first - position of the first pair; every other one follows */
export function testCorpus(first: 0 | 1): void {
  const half = CORPUS.filter((_, position) => position % 2 === first);
  describeDatabases((kind, open) => {
    describe("a schema goes up, down and up", () => {
      let database: TestDatabase | undefined;
      const cases = kind === "server" ? half : half.filter((_, position) => position % PGLITE_SHARE === 0);

      test.each(cases)("$name", async (pair) => {
        database ??= await open();
        const { up, leftAfterUp, leftAfterDown, leftAfterSecondUp, lostRows, differentWhenPrinted } = await travel(
          database,
          pair,
        );
        expect(up.steps.length).toBeGreaterThan(0);
        expect(up.notCovered).toEqual([]);
        expect({ leftAfterUp, leftAfterDown, leftAfterSecondUp, lostRows, differentWhenPrinted }).toEqual({
          leftAfterUp: [],
          leftAfterDown: [],
          leftAfterSecondUp: [],
          lostRows: [],
          differentWhenPrinted: [],
        });
      });

      const again = half.filter(
        ({ name }, position) => position % AGAIN_SHARE[kind] === 0 || (kind === "server" && ALWAYS_AGAIN.has(name)),
      );
      test.each(again)("$name, in a form that may run again, does nothing the second time", async (pair) => {
        database ??= await open();
        const { notRepeatable, left } = await travelAgain(database, pair);
        // Each is named in the file: rows would go, names are exchanged, or the statement refuses a DO block.
        const isKnown = ({ sql }: { readonly sql: string }): boolean =>
          /^DROP (?:TABLE|INDEX CONCURRENTLY) | RENAME |DETACH PARTITION .* CONCURRENTLY$/.test(sql);
        expect(notRepeatable.filter((statement) => !isKnown(statement))).toEqual([]);
        expect(Object.values(left).flat()).toEqual([]);
      });

      const halfway = kind === "server" ? half.filter((_, position) => position % HALFWAY_SHARE === 7) : [];
      test.each(halfway)("$name, stopped after any of its transactions, is completed by that form", async (pair) => {
        database ??= await open();
        expect(Object.values(await travelFromHalfway(database, pair)).flat()).toEqual([]);
      });

      afterAll(() => database?.close());
    });
  });
}
