// Every rule has a page, every page a rule, and the examples on the pages are what they say.
import { readdir, readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rules, runCheck } from "../../src/advise/index.ts";
import { UniqueViolationError } from "../../src/postgres/index.ts";
import { testDatabase, type TestDatabase } from "../support/test-database.ts";

const folder = new URL("../../docs/rules/", import.meta.url);
const pages = (await readdir(folder)).filter((name) => name !== "README.md").map((name) => name.replace(/\.md$/, ""));

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.close();
});

test("each rule has a page and each page a rule", () => {
  expect(pages.toSorted()).toEqual(rules.map((rule) => rule.id).toSorted());
});

test("the index lists each rule with its severity and title", async () => {
  const index = await readFile(new URL("README.md", folder), "utf8");
  for (const rule of rules)
    expect(index).toContain(`| [${rule.id}](${rule.id}.md) | ${rule.severity} | ${rule.title} |`);
});

describe.each(rules.map((rule) => rule.id))("docs/rules/%s.md", (id) => {
  test("tells severity and title as the rule has them", async () => {
    const rule = rules.find((candidate) => candidate.id === id);
    const page = await readFile(new URL(`${id}.md`, folder), "utf8");
    expect(page.startsWith(`# ${id}\n`)).toBe(true);
    expect(page).toContain(`**${rule?.title}.** Severity by default: ${rule?.severity}.`);
    for (const heading of ["Bad", "Good", "What is examined", "How to fix it", "Options", "How to silence one finding"])
      expect(page).toContain(`\n## ${heading}\n`);
  });

  test("its bad example is found, its good example is not", async () => {
    const page = await readFile(new URL(`${id}.md`, folder), "utf8");
    expect(await findingsOfExample(page, "Bad", id)).not.toEqual([]);
    expect(await findingsOfExample(page, "Good", id)).toEqual([]);
  });
});

async function findingsOfExample(page: string, heading: string, rule: string): Promise<readonly string[]> {
  const example = new RegExp(`\\n## ${heading}\\n\\n\`\`\`sql\\n(.*?)\\n\`\`\``, "s").exec(page)?.[1];
  if (example === undefined) throw new Error(`the page has no example under ${heading}`);
  await database.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  // A statement with CONCURRENTLY stands alone; the one on the page about invalid indexes is meant to fail on its rows.
  for (const statement of example.split(/(?=^CREATE UNIQUE INDEX CONCURRENTLY)/m)) {
    await database.exec(statement).catch((error: unknown) => {
      if (!(error instanceof UniqueViolationError)) throw error;
    });
  }
  return (await runCheck(database)).findings
    .filter((finding) => finding.rule === rule)
    .map((finding) => finding.message);
}
