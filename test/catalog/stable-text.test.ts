// The text of an expression that PostgreSQL reads as what it prints.
import { expect, test } from "vitest";
import { stableText } from "../../src/catalog/stable-text.ts";

test.each([
  [
    "(a = ANY ((ARRAY['x'::varchar, 'y'::varchar])::text[]))",
    "(a = ANY (ARRAY[('x'::varchar)::text, ('y'::varchar)::text]))",
  ],
  ["(ARRAY['it''s, [1]'::varchar])::text[]", "ARRAY[('it''s, [1]'::varchar)::text]"],
  [
    "(ARRAY[f(a, b), c[1]])::character varying(10)[]",
    "ARRAY[(f(a, b))::character varying(10), (c[1])::character varying(10)]",
  ],
  ['(ARRAY[a])::"My schema".kind[]', 'ARRAY[(a)::"My schema".kind]'],
  ["(ARRAY[d])::timestamp(3) with time zone[]", "ARRAY[(d)::timestamp(3) with time zone]"],
  ["(ARRAY[ARRAY['a'::varchar]])::text[]", "ARRAY[ARRAY[('a'::varchar)::text]]"],
  ["(ARRAY[(b = ANY ((ARRAY[c])::text[]))])::text[]", "ARRAY[((b = ANY (ARRAY[(c)::text])))::text]"],
  ["a = ANY (ARRAY['x'::varchar, b || 'y']::text[])", "a = ANY (ARRAY['x'::varchar::text, (b || 'y')::text])"],
])("%s is read as %s", (printed, read) => {
  expect(stableText(printed)).toBe(read);
  expect(stableText(read)).toBe(read);
});

test.each([
  "(a = ANY (ARRAY[1, 2]))",
  "'(ARRAY[''a''])::text[]'",
  '"(ARRAY[a])::text[]" = 1',
  "AS $function$ SELECT (ARRAY['a'::varchar])::text[] $function$",
  "(my_ARRAY[1])::text[]",
  "(ARRAY[1",
  "ARRAY[]::text[]",
  "(a || ARRAY[]::character varying[])",
])("%s stays as it is", (text) => {
  expect(stableText(text)).toBe(text);
});
