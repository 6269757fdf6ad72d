// Rules that need more than one action: the engine finds them, here stands what they say.
import { defineLintRule, type LintRule } from "./rule.ts";

const ENGINE = (): undefined => undefined;

export const syntaxError = defineLintRule({
  id: "syntax-error",
  title: "PostgreSQL cannot read the statement",
  severity: "error",
  isRecommended: true,
  why: "The migration fails there. The other statements are looked at as if it were not there; this rule cannot be switched off.",
  bad: "ALTER TABEL users ADD COLUMN email text;",
  good: "ALTER TABLE users ADD COLUMN email text;",
  check: ENGINE,
});

export const transactionNesting = defineLintRule({
  id: "transaction-nesting",
  title: "BEGIN, COMMIT or ROLLBACK where it does not belong",
  severity: "error",
  isRecommended: true,
  why: "PostgreSQL has no nested transactions: a second BEGIN is a warning, and a COMMIT ends the transaction of the runner too early.",
  bad: "BEGIN;\nBEGIN;\nSELECT 1;\nCOMMIT;",
  good: "BEGIN;\nSELECT 1;\nCOMMIT;",
  check: ENGINE,
});

export const uncommittedTransaction = defineLintRule({
  id: "uncommitted-transaction",
  title: "BEGIN without COMMIT",
  severity: "error",
  isRecommended: true,
  why: "What the file did is rolled back when its session ends, and its locks are held until then.",
  bad: "BEGIN;\nSELECT 1;",
  good: "BEGIN;\nSELECT 1;\nCOMMIT;",
  check: ENGINE,
});

export const unvalidatedConstraint = defineLintRule({
  id: "unvalidated-constraint",
  title: "A constraint stays NOT VALID",
  severity: "info",
  isRecommended: false,
  why: "Old rows may break it, and the planner does not use it, until VALIDATE CONSTRAINT has run.",
  bad: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;",
  good: "ALTER TABLE users ADD CONSTRAINT age_positive CHECK (age > 0) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT age_positive;",
  check: ENGINE,
});

export const foreignKeyWithoutIndex = defineLintRule({
  id: "foreign-key-without-index",
  title: "A foreign key without an index on its columns",
  severity: "info",
  isRecommended: false,
  why: "Every DELETE and key UPDATE of the referenced table reads the whole referencing one. Looked at only where all indexes are known.",
  bad: "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE orders (user_id bigint REFERENCES users (id));",
  good: "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE orders (user_id bigint REFERENCES users (id));\nCREATE INDEX orders_user_idx ON orders (user_id);",
  check: ENGINE,
});

export const ignoreWithoutReason = defineLintRule({
  id: "ignore-without-reason",
  title: "An ignore without a reason, or of a rule that does not exist",
  severity: "warning",
  isRecommended: true,
  why: "It ignores nothing: the next reader has to know why the risk was taken.",
  bad: "-- pgsteward:ignore drop-table\nDROP TABLE users;",
  good: "-- pgsteward:ignore drop-table empty since May\nDROP TABLE users;",
  check: ENGINE,
});

export const unusedIgnore = defineLintRule({
  id: "unused-ignore",
  title: "An ignore that matches nothing",
  severity: "warning",
  isRecommended: true,
  why: "It would hide the next finding of that rule on this statement.",
  bad: "-- pgsteward:ignore drop-table empty since May\nSELECT 1;",
  good: "-- pgsteward:ignore drop-table empty since May\nDROP TABLE users;",
  check: ENGINE,
});

export const wholeBatchRules: readonly LintRule[] = [
  syntaxError,
  transactionNesting,
  uncommittedTransaction,
  unvalidatedConstraint,
  foreignKeyWithoutIndex,
  ignoreWithoutReason,
  unusedIgnore,
];
