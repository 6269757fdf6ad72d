// Why a throw-away database refuses a statement that the server of the files took: what it lacks, in plain words.
import type { DatabaseError } from "../postgres/index.ts";

const ELSEWHERE = "check a server that has it: pgsteward check postgres://…";

const REASONS: readonly { readonly states: readonly string[]; readonly message: RegExp; readonly lacks: string }[] = [
  // The library of a function in C, or of an access method, language or wrapper made of such.
  {
    states: ["58P01", "42883", "0A000"],
    message: /could not (?:access|load|open) (?:file|library|shared library)|could not find function .* in file/,
    lacks: "the library",
  },
  { states: ["42883"], message: /there is no built-in function named/, lacks: "the internal function" },
  {
    states: ["22023", "42704", "58P01", "0A000"],
    message:
      /could not create locale|could not open collator|ICU locale|invalid locale name|locale .* is not (?:valid|supported)/i,
    lacks: "the locale",
  },
  { states: ["22023", "42704"], message: /security label provider/, lacks: "the label provider" },
  { states: ["42704"], message: /language ".*" does not exist/, lacks: "the language" },
  { states: ["42P17"], message: /internal size \d+ is invalid for passed-by-value type/, lacks: "types of that size" },
];

/** The way out where the throw-away database lacks something; `undefined` where the statement itself is at fault. */
export function refusedHere({ sqlState, message, hint }: DatabaseError): string | undefined {
  const reason = REASONS.find((known) => known.states.includes(sqlState) && known.message.test(message));
  if (reason !== undefined) return `the throw-away database does not have ${reason.lacks}; ${ELSEWHERE}`;
  if (sqlState === "42501" && /superuser|for language c\b/i.test(`${message} ${hint ?? ""}`))
    return `PostgreSQL lets only a superuser do this, and the throw-away database is another login's; ${ELSEWHERE}`;
  return undefined;
}
