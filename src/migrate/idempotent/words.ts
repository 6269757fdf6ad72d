// Puts words into a statement's text, and puts a statement into a DO block that looks before it runs.
import { dollarQuoted } from "../../postgres/index.ts";
import { tokensOf } from "../sql-tokens.ts";

/**
 * Puts text behind words, wherever they stand outside parentheses and quotes.
 *
 * @param isOnce - only behind the first ones
 */
export function insertAfter(sql: string, words: string, text: string, isOnce = false): string {
  const wanted = words.split(" ");
  let depth = 0;
  let matched = 0;
  let isDone = false;
  let result = "";
  for (const { raw, space } of tokensOf(sql)) {
    if (matched === wanted.length) {
      if (raw.toUpperCase() !== "IF") result += ` ${text}`;
      matched = 0;
      isDone = isOnce;
    }
    result += `${space}${raw}`;
    if (raw === "(") depth++;
    else if (raw === ")") depth--;
    const isNext = depth === 0 && !isDone && raw.toUpperCase() === wanted[matched];
    matched = isNext ? matched + 1 : depth === 0 && raw.toUpperCase() === wanted[0] && !isDone ? 1 : 0;
  }
  return matched === wanted.length ? `${result} ${text}` : result;
}

const DROP_HEAD =
  /^DROP\s+(?:ACCESS\s+METHOD|TEXT\s+SEARCH\s+\w+|OPERATOR\s+(?:CLASS|FAMILY)|FOREIGN\s+(?:DATA\s+WRAPPER|TABLE)|MATERIALIZED\s+VIEW|EVENT\s+TRIGGER|USER\s+MAPPING|\w+)\b(?:\s+CONCURRENTLY\b)?/i;

export function dropIfExists(sql: string): string {
  return sql.replace(DROP_HEAD, (head) =>
    /^\s+IF\s+EXISTS\b/i.test(sql.slice(head.length)) ? head : `${head} IF EXISTS`,
  );
}

export function createOrReplace(sql: string): string {
  return sql.replace(/^CREATE\s+(?!OR\s)/i, "CREATE OR REPLACE ");
}

/** `ALTER TABLE IF EXISTS`; for statements that begin with ALTER and the kind of a relation. */
export function alterIfExists(sql: string): string {
  return sql.replace(
    /^ALTER\s+(?:FOREIGN\s+TABLE|MATERIALIZED\s+VIEW|TABLE|VIEW|INDEX|SEQUENCE)\b(?!\s+IF\s+EXISTS\b)/i,
    (head) => `${head} IF EXISTS`,
  );
}

/** A DO block in PL/pgSQL. The statements stand in it as they are, so that a linter can read them. */
export function doBlock(conditions: readonly string[], sql: string, otherwise?: string): string {
  const condition = conditions.join("\n    AND ");
  const lines = [`  IF ${condition} THEN`, indented(sql)];
  if (otherwise !== undefined) lines.push("  ELSE", indented(otherwise));
  const body = ["BEGIN", ...lines, "  END IF;", "END"].join("\n");
  return `DO ${dollarQuoted(`\n${body}\n`)}`;
}

/** Only the first line: a literal or a body may go over several. */
function indented(sql: string): string {
  const text = sql.trimEnd();
  return `    ${text}${text.slice(text.lastIndexOf("\n") + 1).includes("--") ? "\n" : ""};`;
}
