import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { describeFault, readSettings } from "../../src/config/index.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function folderWith(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "pgsteward-config-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

test("without any source the defaults hold and say so", async () => {
  const read = await readSettings({}, folderWith({}));
  expect(read.faults).toEqual([]);
  expect(read.files).toEqual([]);
  expect(read.settings.server).toEqual({ host: "127.0.0.1", port: 7420 });
  expect(read.settings.database.url).toBeUndefined();
  expect(read.origins["server.port"]).toEqual({ kind: "default", place: "" });
  expect(read.origins["database.url"].kind).toBe("unset");
});

test("a flag wins over the environment, that over .env, that over the configuration file", async () => {
  const cwd = folderWith({
    ".env": "PGSTEWARD_SERVER_HOST=from-dotenv\nPGSTEWARD_SERVER_PORT=2\nPGSTEWARD_LOG_LEVEL=warn\n",
    "pgsteward.config.json": JSON.stringify({
      server: { host: "from-file", port: 1 },
      log: { level: "debug", pretty: true },
      database: { poolSize: 7 },
    }),
  });
  const read = await readSettings({ PGSTEWARD_SERVER_PORT: "3", PGSTEWARD_LOG_LEVEL: "" }, cwd, {
    flags: { "database.url": { flag: "--database", value: "pglite:" } },
  });
  expect(read.faults).toEqual([]);
  expect(read.settings).toEqual({
    database: { url: "pglite:", poolSize: 7, acquireTimeoutMs: undefined, statementTimeoutMs: undefined },
    check: undefined,
    models: [],
    migrations: undefined,
    casing: undefined,
    log: { level: "warn", pretty: true },
    server: { host: "from-dotenv", port: 3 },
  });
  expect(read.origins["server.port"]).toEqual({ kind: "environment", place: "PGSTEWARD_SERVER_PORT" });
  expect(read.origins["server.host"]).toEqual({ kind: ".env", place: "PGSTEWARD_SERVER_HOST in .env" });
  expect(read.origins["log.pretty"]).toEqual({ kind: "config file", place: join(cwd, "pgsteward.config.json") });
  expect(read.origins["database.url"]).toEqual({ kind: "flag", place: "--database" });
});

test("PGSTEWARD_DATABASE_URL wins over DATABASE_URL", async () => {
  const read = await readSettings(
    { DATABASE_URL: "postgres://a/a", PGSTEWARD_DATABASE_URL: "postgres://b/b" },
    folderWith({}),
  );
  expect(read.settings.database.url).toBe("postgres://b/b");
});

test.each([
  ["ts", "const level: string = 'debug'; export default { log: { level }, check: { rules: {} } };"],
  ["mts", "export default { log: { level: 'debug' as const }, check: { rules: {} } };"],
  ["js", "export default { log: { level: 'debug' }, check: { rules: {} } };"],
  ["mjs", "export default { log: { level: 'debug' }, check: { rules: {} } };"],
  ["json", '{ "log": { "level": "debug" }, "check": { "rules": {} } }'],
])("a configuration file may be .%s; `check` is passed through", async (extension, content) => {
  const read = await readSettings({}, folderWith({ [`pgsteward.config.${extension}`]: content }));
  expect(read.faults).toEqual([]);
  expect(read.settings.log.level).toBe("debug");
  expect(read.settings.check).toEqual({ rules: {} });
});

test("all faults are told at once, with the file or variable, the key and what is allowed", async () => {
  const cwd = folderWith({
    ".env": "PGSTEWARD_LOG_PRETTY=perhaps\n",
    "pgsteward.config.json": JSON.stringify({
      server: { prot: 1, host: "" },
      log: { level: "loud" },
      databse: {},
      database: { poolSize: 0 },
    }),
  });
  const env = { PGSTEWARD_SERVER_PORT: "70000", PGSTEWARD_LOG_LEVLE: "info", PGSTEWARD_TEST_VERSIONS: "17" };
  const told = (await readSettings(env, cwd)).faults.map(describeFault);
  expect(told).toEqual(
    expect.arrayContaining([
      "environment: PGSTEWARD_SERVER_PORT: expected 0 to 65535",
      "environment: PGSTEWARD_LOG_LEVLE: unknown variable; did you mean PGSTEWARD_LOG_LEVEL?",
      ".env: PGSTEWARD_LOG_PRETTY: expected true or false",
      "pgsteward.config.json: server.prot: unknown setting; did you mean port?",
      "pgsteward.config.json: server.host: expected a host name or address",
      "pgsteward.config.json: log.level: expected one of trace, debug, info, warn, error, fatal, silent",
      "pgsteward.config.json: databse: unknown setting; did you mean database?",
      "pgsteward.config.json: database.poolSize: expected 1 connections or more",
    ]),
  );
  expect(told).toHaveLength(8);
});

test.each([
  ["pgsteward.config.json", '{ "log": {\n  "level": } }', /cannot be read: Unexpected token/],
  ["pgsteward.config.ts", "export default { log: ", /cannot be read/],
  ["pgsteward.config.ts", "throw new Error('boom')", /cannot be read: boom/],
  ["pgsteward.config.ts", "export const x = 1;", /must export the configuration object as its default/],
  ["pgsteward.config.js", "export default 3;", /expected object/],
])("a broken %s is a fault, not a crash", async (name, content, expected) => {
  const { faults } = await readSettings({}, folderWith({ [name]: content }));
  expect(faults).toHaveLength(1);
  expect(describeFault(faults[0] ?? { source: "", key: "", message: "" })).toMatch(expected);
});

test("two configuration files in one folder, a named file that is missing, and an unreadable .env are faults", async () => {
  const two = folderWith({ "pgsteward.config.ts": "export default {}", "pgsteward.config.json": "{}" });
  expect((await readSettings({}, two)).faults[0]?.message).toContain("more than one configuration file");
  expect((await readSettings({}, folderWith({}), { configFile: "nowhere.ts" })).faults[0]).toMatchObject({
    source: "nowhere.ts",
    message: "the file does not exist",
  });
  const folder = folderWith({});
  mkdirSync(join(folder, ".env"));
  expect((await readSettings({}, folder)).faults[0]).toMatchObject({ source: ".env" });
});
