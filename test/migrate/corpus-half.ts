// Every pair of the corpus is reached, left again, and reached again, with the rows that the change allows to keep. Called by
// two test files, each with every other pair, so that two workers share the longest of all tests.
import { afterAll, describe, expect, test } from "vitest";
import { describeDatabases, type TestDatabase } from "../support/test-database.ts";
import { CORPUS, travel } from "./corpus.ts";

/** Cases for the embedded database, which runs the same code: one in so many. */
const PGLITE_SHARE = 6;

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

      afterAll(() => database?.close());
    });
  });
}
