// The quick reader of timestamps gives what Date gives, or leaves the text to it.
import fc from "fast-check";
import { expect, test } from "vitest";
import { timestampDate } from "../../src/session/timestamp-text.ts";

const digits = (value: number, width: number): string => String(value).padStart(width, "0");

test("every timestamp that PostgreSQL writes in ISO style is read as Date reads it", () => {
  const days = fc.date({
    min: new Date("0100-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59Z"),
    noInvalidDate: true,
  });
  const fractions = fc.oneof(fc.constant(""), fc.stringMatching(/^\.\d{1,6}$/));
  const offsets = fc.oneof(
    fc.constant("+00"),
    fc
      .tuple(fc.constantFrom("+", "-"), fc.integer({ min: 0, max: 15 }), fc.constantFrom("", ":30", ":45"))
      .map(([sign, hours, minutes]) => `${sign}${digits(hours, 2)}${minutes}`),
  );
  fc.assert(
    fc.property(days, fractions, offsets, (day, fraction, offset) => {
      const text = `${day.toISOString().slice(0, 19).replace("T", " ")}${fraction}${offset}`;
      expect(timestampDate(text)?.getTime()).toBe(new Date(text).getTime());
    }),
    { numRuns: 2_000 },
  );
});

test("without an offset the time is UTC", () => {
  expect(timestampDate("2026-11-22 07:26:48.5")).toEqual(new Date("2026-11-22T07:26:48.500Z"));
});

test.each([
  "infinity",
  "-infinity",
  "0044-03-15 00:00:00+00 BC",
  "0044-03-15 00:00:00+00",
  "12026-01-01 00:00:00+00",
  "Sun Nov 22 07:26:48 2026 UTC",
  "22/11/2026 07:26:48 UTC",
  "1890-01-01 00:00:00+00:53:28",
  "",
])("%s is left to Date", (text) => {
  expect(timestampDate(text)).toBeUndefined();
});
