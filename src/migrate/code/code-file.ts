// Which files are migrations in code. Apart from what reads and runs them, because the linter's command loads little.
import { basename } from "node:path";

const CODE_FILE = /^\d+_.+\.(?:[cm]?ts|m?js)$/;
const NOT_CODE = /\.(?:d|test|spec)\.[cm]?[jt]s$/;
/** The type of the connection is imported, or named in a comment as `@import`: other tools' migrations export `up` too. */
const NAMES_US = /\bfrom\s*["']pgsteward(?:\/[\w-]+)?["']/;

/** Whether a file's name is that of a migration in code: `0008_split_names.ts`; not `….test.ts`, `….d.ts`. */
export function isCodeMigration(name: string): boolean {
  return CODE_FILE.test(basename(name)) && !NOT_CODE.test(name);
}

/** Whether a program imports anything from us, if only a type. */
export function namesPgsteward(text: string): boolean {
  return NAMES_US.test(text);
}
