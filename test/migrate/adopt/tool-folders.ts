// A folder of each tool, as that tool lays it out, and the migrations that stand in it.

/** A table, another, and the way back from the first. */
export const A = "CREATE TABLE a (id int);";
export const B = "CREATE TABLE b (id int);";
export const DROP = "DROP TABLE a;";

interface FolderCase {
  /** Texts by their paths. */
  readonly files: Readonly<Record<string, string>>;
  readonly tool: string;
  /** Of each: version, name, the text of the way there, that of the way back, the scope of transactions, why there is no way back. */
  readonly migrations: readonly unknown[];
}

export const FOLDERS: Record<string, FolderCase> = {
  "dbmate: both parts in one file, transaction:false of one part alone, the reason why there is no way back": {
    tool: "dbmate",
    files: {
      "10_b.sql": `-- irreversible: rows are gone\n-- migrate:up transaction:false\n${B}`,
      "2_a.sql": `-- migrate:up\n${A}\n-- migrate:down transaction:false\n${DROP}\n`,
    },
    migrations: [
      ["2", "a", `-- migrate:up\n${A}`, `-- migrate:down transaction:false\n${DROP}`, "file"],
      [
        "10",
        "b",
        `-- irreversible: rows are gone\n-- migrate:up transaction:false\n${B}`,
        undefined,
        "statement",
        "rows are gone",
      ],
    ],
  },
  "golang-migrate: pairs, ordered by their numbers": {
    tool: "golang-migrate",
    files: { "10_b.up.sql": B, "9_a.up.sql": A, "9_a.down.sql": DROP },
    migrations: [
      ["9", "a", A, DROP, "implicit"],
      ["10", "b", B, undefined, "implicit"],
    ],
  },
  "flyway: versions as numbers, repeatable ones last, undo files": {
    tool: "flyway",
    files: { "V1_10__b.sql": B, "V1.9__a.sql": A, "U1.9__a.sql": DROP, "R__views.sql": "SELECT 1;" },
    migrations: [
      ["1.9", "a", A, DROP, "file"],
      ["1.10", "b", B, undefined, "file"],
      ["", "views", "SELECT 1;", undefined, "file"],
    ],
  },
  "refinery: U is a version out of the row where no V has its number": {
    tool: "flyway",
    files: { "V1__a.sql": A, "U2__b.sql": B },
    migrations: [
      ["1", "a", A, undefined, "file"],
      ["2", "b", B, undefined, "file"],
    ],
  },
  "prisma: folders by name, down.sql beside where there is one": {
    tool: "prisma",
    files: {
      "migration_lock.toml": "",
      "20240201000000_b/migration.sql": B,
      "20240101000000_a/migration.sql": A,
      "20240101000000_a/down.sql": DROP,
    },
    migrations: [
      ["20240101000000", "a", A, DROP, "implicit"],
      ["20240201000000", "b", B, undefined, "implicit"],
    ],
  },
  "drizzle: the order of the journal": {
    tool: "drizzle",
    files: {
      "meta/_journal.json": JSON.stringify({
        entries: [
          { idx: 0, tag: "0001_late" },
          { idx: 1, tag: "0000_early" },
        ],
      }),
      "0000_early.sql": `${B}--> statement-breakpoint\nSELECT 1;`,
      "0001_late.sql": A,
    },
    migrations: [
      ["0001", "late", A, undefined, "batch"],
      ["0000", "early", `${B}--> statement-breakpoint\nSELECT 1;`, undefined, "batch"],
    ],
  },
  "diesel: folders with up.sql and down.sql, metadata.toml": {
    tool: "diesel",
    files: {
      "2024-01-01-000000_a/up.sql": A,
      "2024-01-01-000000_a/down.sql": DROP,
      "2024-01-02-000000_b/up.sql": B,
      "2024-01-02-000000_b/metadata.toml": "run_in_transaction = false\n",
    },
    migrations: [
      ["2024-01-01-000000", "a", A, DROP, "file"],
      ["2024-01-02-000000", "b", B, undefined, "implicit"],
    ],
  },
  "hasura: folders with a time in milliseconds, and files from before there were folders": {
    tool: "hasura",
    files: {
      "default/1612345678901_a/up.sql": A,
      "default/1612345678901_a/down.sql": DROP,
      "default/1512345678901_init.up.sql": B,
    },
    migrations: [
      ["1512345678901", "init", B, undefined, "file"],
      ["1612345678901", "a", A, DROP, "file"],
    ],
  },
  "yoyo: each after what it depends on": {
    tool: "yoyo",
    files: {
      "20240101_01_b2cde-view.sql": `-- a view\n-- depends: 20240101_02_aBcde\n${B}`,
      "20240101_02_aBcde.sql": `-- depends:\n${A}`,
      "20240101_02_aBcde.rollback.sql": DROP,
      "20240101_03_index.sql": `-- transactional: false\n-- depends: 20240101_01_b2cde-view 20240101_02_aBcde\n${B}`,
    },
    migrations: [
      ["20240101_02", "aBcde", `-- depends:\n${A}`, DROP, "file"],
      ["20240101_01", "b2cde-view", `-- a view\n-- depends: 20240101_02_aBcde\n${B}`, undefined, "file"],
      [
        "20240101_03",
        "index",
        `-- transactional: false\n-- depends: 20240101_01_b2cde-view 20240101_02_aBcde\n${B}`,
        undefined,
        "statement",
      ],
    ],
  },
  "postgrator: do and undo, sent as one query": {
    tool: "postgrator",
    files: { "002.do.users.sql": B, "001.do.sql": A, "001.undo.sql": DROP },
    migrations: [
      ["001", "001", A, DROP, "implicit"],
      ["002", "users", B, undefined, "implicit"],
    ],
  },
  "liquibase: SQL files that a changelog in YAML names, with their ways back, and changelogs it includes": {
    tool: "liquibase",
    files: {
      "db.changelog-master.yaml": `databaseChangeLog:
  - changeSet:
      id: "1"
      author: anna
      changes:
        - sqlFile: { path: sql/z.sql, relativeToChangelogFile: true }
      rollback:
        - sqlFile:
            path: undo/z.sql
  - include:
      file: classpath:db/changelog/more/next.xml
`,
      "more/next.xml": `<databaseChangeLog>
  <changeSet author="bea" id="2"><sqlFile path="db/changelog/sql/a.sql"/><rollback/></changeSet>
  <includeAll path="formatted/" relativeToChangelogFile="true"/>
</databaseChangeLog>`,
      "more/formatted/a.sql": `--liquibase formatted sql\n--changeset cleo:3\n${B}`,
      "sql/z.sql": A,
      "undo/z.sql": DROP,
      "sql/a.sql": B,
    },
    migrations: [
      ["anna:1", "z", A, DROP, "file"],
      ["bea:2", "a", B, undefined, "file"],
      ["cleo:3", "a", B, undefined, "file"],
    ],
  },
  "sqlx: pairs, and one that takes no transaction": {
    tool: "sqlx",
    files: { "20240101000000_a.up.sql": `-- no-transaction\n${A}`, "20240101000000_a.down.sql": DROP },
    migrations: [["20240101000000", "a", `-- no-transaction\n${A}`, DROP, "implicit"]],
  },
  "goose: its marks, and the one about transactions is about both parts": {
    tool: "goose",
    files: {
      "00002_b.sql": `-- +goose NO TRANSACTION\n-- +goose Up\n${B}\n-- +goose Down\nDROP TABLE b;`,
      "00001_a.sql": `-- +goose Up\n-- +goose StatementBegin\n${A}\n-- +goose StatementEnd\n\n-- +goose Down\n${DROP}\n`,
    },
    migrations: [
      [
        "00001",
        "a",
        `-- +goose Up\n-- +goose StatementBegin\n${A}\n-- +goose StatementEnd`,
        `-- +goose Down\n${DROP}`,
        "file",
      ],
      ["00002", "b", `-- +goose NO TRANSACTION\n-- +goose Up\n${B}`, "-- +goose Down\nDROP TABLE b;", "statement"],
    ],
  },
  "sql-migrate: its marks": {
    tool: "sql-migrate",
    files: { "1_a.sql": `-- +migrate Up notransaction\n${A}\n-- +migrate Down\n${DROP}` },
    migrations: [["1", "a", `-- +migrate Up notransaction\n${A}`, `-- +migrate Down\n${DROP}`, "statement"]],
  },
  "node-pg-migrate: its marks": {
    tool: "node-pg-migrate",
    files: { "1612345678901_a.sql": `-- Up Migration\n${A}\n-- Down Migration\n${DROP}` },
    migrations: [["1612345678901", "a", `-- Up Migration\n${A}`, `-- Down Migration\n${DROP}`, "file"]],
  },
  "tern: what stands below the line leads back": {
    tool: "tern",
    files: { "001_a.sql": `${A}\n---- create above / drop below ----\n${DROP}` },
    migrations: [["001", "a", A, `---- create above / drop below ----\n${DROP}`, "file"]],
  },
  "graphile-migrate: the committed ones, with names for its placeholders": {
    tool: "graphile-migrate",
    files: {
      "committed/000001.sql": `--! Previous: -\n--! Hash: sha1:x\n\nGRANT ALL ON SCHEMA public TO :DATABASE_OWNER;`,
      "current.sql": B,
    },
    migrations: [
      [
        "000001",
        "000001",
        "--! Previous: -\n--! Hash: sha1:x\n\nGRANT ALL ON SCHEMA public TO  database_owner;",
        undefined,
        "file",
      ],
    ],
  },
  "liquibase: changesets with their rollback lines, in the order of the changelog": {
    tool: "liquibase",
    files: {
      "changelog-master.yaml": "databaseChangeLog:\n- include:\n    file: z.sql\n- include:\n    file: a.sql\n",
      "z.sql": `--liquibase formatted sql\n\n--changeset anna:1\n${A}\n--rollback ${DROP}\n--changeset anna:2 runInTransaction:false\n${B}\n`,
      "a.sql": `--liquibase formatted sql\n--changeset otto:1\nSELECT 1;\n`,
    },
    migrations: [
      ["anna:1", "z", `${A}\n--rollback ${DROP}`, DROP, "file"],
      ["anna:2", "z", B, undefined, "statement"],
      ["otto:1", "a", "SELECT 1;", undefined, "file"],
    ],
  },
  "sqitch: the order of the plan, and a change made again": {
    tool: "sqitch",
    files: {
      "sqitch.plan":
        "%syntax-version=1.0.0\n%project=x\n\na 2024-01-01T00:00:00Z A <a@x> # a\n@v1 2024-01-02T00:00:00Z A <a@x> # v1\n\na [a@v1] 2024-01-03T00:00:00Z A <a@x> # again\n",
      "deploy/a@v1.sql": `BEGIN;\n${A}\nCOMMIT;`,
      "revert/a@v1.sql": DROP,
      "deploy/a.sql": B,
      "revert/a.sql": A,
      "verify/a.sql": "SELECT 1;",
    },
    migrations: [
      ["1", "a", `BEGIN;\n${A}\nCOMMIT;`, DROP, "statement"],
      ["2", "a", B, A, "statement"],
    ],
  },
  "atlas: told by atlas.sum": {
    tool: "atlas",
    files: { "atlas.sum": "h1:x", "20240101000000_a.sql": A, "20240102000000.sql": B },
    migrations: [
      ["20240101000000", "a", A, undefined, "file"],
      ["20240102000000", "20240102000000", B, undefined, "file"],
    ],
  },
  "supabase: told by its path": {
    tool: "supabase",
    files: { "20240101000000_a.sql": A },
    migrations: [["20240101000000", "a", A, undefined, "implicit"]],
  },
  "play: what stands before the first mark is a remark, a doubled semicolon is one in a body, any dashes before a mark":
    {
      tool: "play",
      files: {
        "1.sql": `# Users schema\n\n# --- !Ups\n${A}\n\n# --- !Downs\n${DROP}\n`,
        "2.sql": `--- !Ups\nDO $$ BEGIN NULL;; END;; $$;\n`,
        "10.sql": `-- !Ups of b\n${B}\n-- !Downs\n`,
      },
      migrations: [
        ["1", "1", A, DROP, "statement"],
        ["2", "2", "DO $$ BEGIN NULL;  END;  $$;", undefined, "statement"],
        ["10", "10", B, "", "statement"],
      ],
    },
  "plain numbers: pairs in two folders, files without a number passed over": {
    tool: "plain",
    files: { "up/2.sql": B, "up/1.sql": A, "down/1.sql": DROP, "seed.sql": "SELECT 1;" },
    migrations: [
      ["1", "1", A, DROP, "statement"],
      ["2", "2", B, undefined, "statement"],
    ],
  },
};
