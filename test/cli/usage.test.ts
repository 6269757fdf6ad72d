import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ERROR_CODES } from "../../src/postgres/index.ts";
import packageJson from "../../package.json" with { type: "json" };
import { folderWith, MAIN, runCli, startCli } from "./run.ts";

test("--help begins with examples, names every command and the exit codes, on stdout", async () => {
  const { code, stdout, stderr } = await runCli(["--help"]);
  expect(code).toBe(0);
  expect(stderr).toBe("");
  expect(stdout.startsWith("Examples:\n")).toBe(true);
  for (const command of ["start", "check", "describe", "doctor"]) expect(stdout).toContain(`\n  ${command} `);
  for (const { exitCode } of Object.values(ERROR_CODES)) expect(stdout).toMatch(new RegExp(`\\b${exitCode}\\b`));
});

test("without a command it prints the help; each command has one of its own, with examples first", async () => {
  expect((await runCli([])).stdout.startsWith("Examples:\n")).toBe(true);
  for (const command of ["start", "check", "describe", "doctor", "migrate", "partitions"]) {
    const { code, stdout } = await runCli([command, "--help"]);
    expect(code).toBe(0);
    expect(stdout.startsWith("Examples:\n")).toBe(true);
    expect(stdout).toContain("--json");
  }
});

test("--version prints the version of package.json", async () => {
  expect(await runCli(["--version"])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: "" });
});

test.each([
  [["chek"], "unknown command chek", "did you mean check?"],
  [["check", "--jsno"], "unknown option --jsno", "did you mean --json?"],
  [["check", "--fail-on", "fatal"], "argument fatal is invalid", "check --help"],
  [["describe"], "missing required argument table", "describe --help"],
  [["doctor", "extra"], "too many arguments", "doctor --help"],
  [["check", "mysql://root@localhost/x"], "mysql:", "postgres://"],
  [
    ["check", "no/such/place.sql"],
    "no/such/place.sql is neither a database URL nor a file or folder that exists",
    "folder of .sql files",
  ],
  [["check"], "no database is named", "pgsteward start"],
  [
    ["describe", "todos", "--database", "pglite:./nowhere"],
    "there is no embedded database at ./nowhere",
    "check the path",
  ],
  [["start", "--port", "http"], "--port", "docs/configuration.md"],
  [["check", ""], "the argument target is empty", "a shell variable that is not set"],
  [["migrate", "generate", "x", "--to", ""], "--to is empty", "a shell variable that is not set"],
  [["migrate", "generate", "x", "--from", "nowhere", "--to", "empty"], "nowhere does not exist", "check the path"],
  [["migrate", "status", "--folder", "no/where", "--database", "pglite:"], "does not exist", "check the path"],
  [["describe", "t", "--database", "postgres:/bob:pw@db/app"], "does not begin with postgres://", "postgres://user"],
  [["describe", "t", "--database", "postgres://db/app?sslmode=on"], "sslmode=on", "verify-full"],
])("wrong use %j: one error line, one hint, nothing on stdout", async (args, message, hint) => {
  const { code, stdout, stderr } = await runCli(args);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^error [A-Z_]+: /);
  expect(stderr).toContain(message);
  expect(stderr).toContain("\nhint: ");
  expect(stderr).toContain(hint);
  expect(stderr).not.toContain("    at ");
  expect(code).toBe(stderr.includes("INVALID_CONFIGURATION") ? 78 : 64);
});

test("with --json an error is one JSON document on stderr", async () => {
  const { code, stdout, stderr } = await runCli(["check", "nowhere", "--json"]);
  expect(stdout).toBe("");
  expect(JSON.parse(stderr)).toMatchObject({
    error: { code: "INVALID_INPUT", exitCode: 64, hint: expect.any(String) },
  });
  expect(code).toBe(64);
});

test("a program is no SQL file, a loop of links no fault of pgsteward, another tool's folder not all done", async () => {
  const cwd = folderWith({
    "schema.ts": "export const x = 1;",
    "migrations/.keep": "",
    "prisma/20260801_a/migration.sql": "SELECT 1;",
  });
  symlinkSync("0001_loop.sql", join(cwd, "migrations", "0001_loop.sql"));
  const [program, loop, other] = await Promise.all([
    runCli(["lint", "schema.ts"], { cwd }),
    runCli(["migrate", "status", "--database", "pglite:"], { cwd }),
    runCli(["migrate", "up", "--folder", "prisma", "--database", "pglite:"], { cwd }),
  ]);
  expect(other).toMatchObject({ code: 64, stdout: "" });
  expect(other.stderr).toMatch(/prisma holds SQL in folders only \(20260801_a\/migration\.sql\)\nhint: /);
  expect(program).toMatchObject({ code: 64, stdout: "" });
  expect(program.stderr).toMatch(/schema\.ts is a program, not SQL\nhint: .*pgsteward diff empty/);
  expect(loop).toMatchObject({ code: 64, stdout: "" });
  expect(loop.stderr).toMatch(/is a symbolic link that leads to itself\nhint: /);
});

test("a password in a URL that was mistyped, in a list of databases or named as a source is never printed", async () => {
  const cwd = folderWith({
    "migrations/0001_a.sql": "-- migrate:up\nSELECT 1;\n",
    "list.txt": "postgers://bob:hunter2@127.0.0.1:1/a\npostgres://bob:hun@hunter2@127.0.0.1:1/b\n",
  });
  const ended = await Promise.all([
    runCli(["check", "postgres:/bob:hunter2@127.0.0.1:1/a"], { cwd }),
    runCli(["migrate", "status", "--databases", "list.txt", "--json"], { cwd }),
  ]);
  for (const { stdout, stderr } of ended) expect(stdout + stderr).not.toContain("hunter2");
  expect(ended[1].stdout).toContain("127.0.0.1:1/b");
});

test("a warning of a library is a note, and nothing with --json", async () => {
  const args = ["describe", "t", "--database", "postgres://bob@127.0.0.1:1/app?sslmode=require"];
  const [text, json] = await Promise.all([runCli(args), runCli([...args, "--json"])]);
  expect(text.stderr).toMatch(/^warning: .*SSL/m);
  expect(text.stderr).not.toContain("(node:");
  expect(text.stderr).toContain("no PostgreSQL server answers at 127.0.0.1 port 1 (ECONNREFUSED)");
  expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: "CONNECTION_REFUSED" } });
});

test("the stack is shown with --verbose and with DEBUG only", async () => {
  expect((await runCli(["check", "nowhere", "--verbose"])).stderr).toContain("    at ");
  expect((await runCli(["check", "nowhere"], { env: { DEBUG: "1" } })).stderr).toContain("    at ");
});

test("colours: none into a pipe, some with FORCE_COLOR, none with NO_COLOR or --no-color", async () => {
  const escape = "\u001b[";
  expect((await runCli(["doctor"])).stdout).not.toContain(escape);
  expect((await runCli(["doctor"], { env: { FORCE_COLOR: "1" } })).stdout).toContain(escape);
  expect((await runCli(["doctor"], { env: { FORCE_COLOR: "1", NO_COLOR: "1" } })).stdout).not.toContain(escape);
  expect((await runCli(["doctor", "--no-color"], { env: { FORCE_COLOR: "1" } })).stdout).not.toContain(escape);
});

test("every fault of the settings is told at once, those of the check's rules included", async () => {
  const cwd = folderWith({
    ".env": "PGSTEWARD_LOG_LEVEL=loud\n",
    "pgsteward.config.ts":
      "export default { server: { port: 'x' }, check: { rules: { 'no-such-rule': 'error' }, silence: [{ rule: 'naming', subject: 'a.b' }], colour: 1 } };",
  });
  const { code, stderr } = await runCli(["check", "pglite:"], { cwd, env: { PGSTEWARD_SERVER_PROT: "1" } });
  expect(code).toBe(78);
  expect(stderr).toContain("error INVALID_CONFIGURATION: 6 faults in the settings");
  for (const key of [
    "PGSTEWARD_LOG_LEVEL",
    "server.port",
    "no-such-rule",
    "check.silence.0.reason",
    "check.colour",
    "PGSTEWARD_SERVER_PROT",
  ]) {
    expect(stderr).toContain(key);
  }
});

test("doctor shows each setting with its origin, masks passwords, and says what is wrong and what to do", async () => {
  const cwd = folderWith({
    ".env": "DATABASE_URL=postgres://bob:hunter2@127.0.0.1:1/app?password=hunter3\n",
    "pgsteward.config.json": '{ "server": { "port": 7421 } }',
  });
  const { code, stdout, stderr } = await runCli(["doctor", "--json"], { cwd, env: { PGSTEWARD_LOG_LEVEL: "warn" } });
  expect(code).toBe(69);
  expect(stdout + stderr).not.toMatch(/hunter[23]/);
  const report = JSON.parse(stdout) as {
    settings: { key: string; value: unknown; origin: unknown }[];
    problems: unknown[];
  };
  const byKey = Object.fromEntries(report.settings.map(({ key, ...setting }) => [key, setting]));
  expect(byKey).toMatchObject({
    "database.url": { origin: { kind: ".env", place: "DATABASE_URL in .env" } },
    "log.level": { value: "warn", origin: { kind: "environment" } },
    "server.port": { value: 7421, origin: { kind: "config file" } },
    "server.host": { value: "127.0.0.1", origin: { kind: "default" } },
  });
  expect(report.problems).toContainEqual(
    expect.objectContaining({ severity: "error", code: "CONNECTION_REFUSED", whatToDo: expect.any(String) }),
  );
  const text = await runCli(["doctor"], { cwd });
  expect(text.stdout).toContain("what to do:");
  expect(text.stdout + text.stderr).not.toMatch(/hunter[23]/);
});

test("a reader that leaves early is no fault", async () => {
  const running = startCli(["--help"]);
  running.child.stdout?.destroy();
  expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
});

// Linux has a device that is always full: https://man7.org/linux/man-pages/man4/full.4.html
if (existsSync("/dev/full")) {
  test("output that does not go anywhere, because the disk is full, is a failure", () => {
    const full = openSync("/dev/full", "w");
    try {
      const { status, stderr } = spawnSync(process.execPath, [MAIN, "--help"], {
        stdio: ["ignore", full, "pipe"],
        encoding: "utf8",
      });
      expect(status).toBe(74);
      expect(stderr).toBe(
        "error: the output is lost: ENOSPC: no space left on device, write\nhint: make room, or send it elsewhere\n",
      );
    } finally {
      closeSync(full);
    }
  });
}
