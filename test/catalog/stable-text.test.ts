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
  ["SELECT 'it''s'::text AS text, NULL::boolean AS bool", "SELECT 'it''s'::text, NULL::boolean"],
  [
    "SELECT '-1'::integer AS int4, 'x'::character varying(5) AS \"varchar\"",
    "SELECT '-1'::integer, 'x'::character varying(5)",
  ],
  ['SELECT \'{}\'::public."My kind"[] AS "My kind"', "SELECT '{}'::public.\"My kind\"[]"],
  ["'now'::timestamp(3) without time zone AS \"timestamp\"", "'now'::timestamp(3) without time zone"],
  ["SELECT ((a + f(1, 'x y')))::numeric AS \"numeric\"", "SELECT ((a + f(1, 'x y')))::numeric"],
  ["FROM ( VALUES (1,'a'::text)) t(b, c)", "FROM (VALUES (1,'a'::text)) t(b, c)"],
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
  "SELECT 'a'::text AS kind, 'b'::text AS texts, (c)::text AS text, lower(d)::text AS text",
  "((at AT TIME ZONE 'UTC'::text))::date AS date",
  '((a COLLATE "C"))::text AS text',
  "'( VALUES ''a''::text AS text'",
  "AS $function$ SELECT 'a'::text AS text $function$",
])("%s stays as it is", (text) => {
  expect(stableText(text)).toBe(text);
});
