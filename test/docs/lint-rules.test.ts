// docs/lint.md has the section of every lint rule, with the words and examples of the rule itself.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { LINT_RULES } from "../../src/migrate/index.ts";

const page = readFileSync(new URL("../../docs/lint.md", import.meta.url), "utf8");

test("the page has a section for each rule and no other", () => {
  const sections = [...page.matchAll(/^## (.*)$/gm)].map(([, id]) => id);
  expect(sections).toEqual(LINT_RULES.map(({ id }) => id));
});

test.each(LINT_RULES.map((rule) => [rule.id, rule] as const))("%s is described as the rule says", (id, rule) => {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${id}\n`)) ?? "";
  expect(section).toContain(`${rule.title}. `);
  expect(section).toContain(rule.why);
  expect(section).toContain(rule.bad);
  expect(section).toContain(rule.good);
  expect(section.includes(", style*") || section.includes(", style_")).toBe(!rule.isRecommended);
});
