// Files of our own form as editors and other systems leave them.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMigration, readMigrations } from "../../src/migrate/index.ts";

const TEXT = "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;\n";

function read(files: Readonly<Record<string, string>>, folders: readonly string[] = []) {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-files-"));
  try {
    for (const name of folders) mkdirSync(join(folder, name));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return readMigrations(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("a byte order mark and other line ends change neither the parts nor the checksum", () => {
  const [plain] = read({ "1_a.sql": TEXT });
  for (const text of [`\uFEFF${TEXT}`, TEXT.replaceAll("\n", "\r\n")]) {
    const [other] = read({ "1_a.sql": text });
    expect(other?.checksum).toBe(plain?.checksum);
    expect([other?.up.sql.trim(), other?.down?.sql.trim()]).toEqual(["CREATE TABLE a ();", "DROP TABLE a;"]);
  }
  const [old] = read({ "1_a.sql": TEXT.replaceAll("\n", "\r") });
  expect([old?.up.sql.trim(), old?.down?.sql.trim()]).toEqual(["CREATE TABLE a ();", "DROP TABLE a;"]);
});

test("a folder whose name ends in .sql is no migration", () => {
  expect(read({ "2_b.sql": TEXT }, ["1_a.sql"]).map(({ file }) => file)).toEqual(["2_b.sql"]);
});

test("a link to a file that is not there is no folder without it", () => {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-files-"));
  try {
    symlinkSync(join(folder, "gone.sql"), join(folder, "1_a.sql"));
    expect(() => readMigrations(folder)).toThrow("1_a.sql does not exist");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a number that is used twice, a file without marks and one with a mark twice are refused with what to do", () => {
  expect(() => read({ "1_a.sql": TEXT, "001_b.sql": TEXT })).toThrow("1_a.sql and 001_b.sql have the same number");
  for (const text of ["", "-- nothing\n", "CREATE TABLE a ();"])
    expect(() => parseMigration("1_a.sql", text)).toThrow('1_a.sql has no "-- migrate:up" line');
  expect(() => parseMigration("1_a.sql", `${TEXT}\n-- migrate:up\nCREATE TABLE b ();`)).toThrow(
    '1_a.sql:6: there is a second "-- migrate:up" line',
  );
  expect(() => parseMigration("1_a.sql", `${TEXT}-- migrate:down\r\nDROP TABLE b;`)).toThrow("1_a.sql:5: ");
});
