// What the linter's command needs, and no more: it starts without the drivers and the catalog that index.ts loads.
export { besideReader } from "./adopt/beside.ts";
export { MIGRATION_TOOLS } from "./adopt/tools.ts";
export { isCodeMigration } from "./code/code-file.ts";
export { LINT_RULES } from "./lint-rules/index.ts";
export { lintSql } from "./lint.ts";
export { decode, readSqlFiles } from "./sql-files.ts";
