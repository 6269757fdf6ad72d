// Reading policy expressions as pg_get_expr prints them: which part isolates tenants, how settings are read.
// Only the few forms the rules need; anything else is left alone rather than guessed.
import type { Column, Policy } from "../catalog/index.ts";
import { identifier, literal } from "../postgres/index.ts";
import { escapeRegExp } from "./objects.ts";

/** The text with the inside of string literals blanked, so that positions stay and only code is searched. */
function withoutLiterals(expression: string): string {
  return expression.replaceAll(/'(?:[^']|'')*'/g, (quoted) => `'${" ".repeat(quoted.length - 2)}'`);
}

/** Position of the parenthesis that closes the one at `open`; -1 when there is none. `code` has no literals. */
function closingParenthesis(code: string, open: number): number {
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    if (code[at] === "(") depth += 1;
    if (code[at] === ")") depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

function stripParentheses(expression: string): string {
  let text = expression.trim();
  while (text.startsWith("(") && closingParenthesis(withoutLiterals(text), 0) === text.length - 1)
    text = text.slice(1, -1).trim();
  return text;
}

/** Splits at a separator that stands outside parentheses and literals. */
function splitOutside(expression: string, separator: RegExp): string[] {
  const code = withoutLiterals(expression);
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < code.length; at += 1) {
    if (code[at] === "(" || code[at] === "[") depth += 1;
    if (code[at] === ")" || code[at] === "]") depth -= 1;
    if (depth > 0) continue;
    const match = new RegExp(separator.source, "iy");
    match.lastIndex = at;
    const found = match.exec(code);
    if (found === null) continue;
    parts.push(expression.slice(start, at).trim());
    start = at + found[0].length;
    at = start - 1;
  }
  parts.push(expression.slice(start).trim());
  return parts;
}

function mentionsColumn(expression: string, column: string): boolean {
  const escaped = escapeRegExp(column);
  return new RegExp(`(?<![\\w$"])(?:"${escaped.replaceAll('"', '""')}"|${escaped})(?![\\w$"])`).test(
    withoutLiterals(expression),
  );
}

/**
 * Whether a row of another tenant can never satisfy the expression, as far as its form tells: some part joined by AND
 * compares the tenant column, or every branch of an OR does. `false` lets nothing through, so it isolates too.
 */
export function isolatesByTenant(expression: string | undefined, tenantColumn: string): boolean {
  if (expression === undefined) return false;
  const text = stripParentheses(expression);
  if (text.toLowerCase() === "false") return true;
  const alternatives = splitOutside(text, /\s+OR\s+/);
  if (alternatives.length > 1) return alternatives.every((part) => isolatesByTenant(part, tenantColumn));
  const conjuncts = splitOutside(text, /\s+AND\s+/);
  if (conjuncts.length > 1) return conjuncts.some((part) => isolatesByTenant(part, tenantColumn));
  const code = withoutLiterals(text);
  if (/^NOT\s/i.test(code) || /\sIS (NOT )?NULL$/i.test(code) || splitOutside(text, /\s*(?:<>|!=)\s*/).length > 1)
    return false;
  return mentionsColumn(text, tenantColumn);
}

export const WRITE_COMMANDS = ["insert", "update", "delete"] as const;
export type PolicyCommand = "select" | (typeof WRITE_COMMANDS)[number];

export const appliesTo = (policy: Policy, command: PolicyCommand): boolean =>
  policy.command === "all" || policy.command === command;

/** What decides about existing rows (select, update, delete) or new rows (insert). Without WITH CHECK, USING is used for both. */
export function decidingExpression(policy: Policy, command: PolicyCommand): string | undefined {
  return command === "insert" ? (policy.withCheck ?? policy.using) : policy.using;
}

/** What decides about rows written by INSERT and UPDATE. */
export const newRowExpression = (policy: Policy): string | undefined => policy.withCheck ?? policy.using;

/** Roles both policies hold for; empty when there is none. Memberships of roles in roles are not followed. */
export function commonRoles(one: Policy, other: Policy): readonly string[] {
  if (one.roles.includes("public")) return other.roles;
  if (other.roles.includes("public")) return one.roles;
  return one.roles.filter((role) => other.roles.includes(role));
}

/** Whether a policy holds for all of these roles. */
export const coversRoles = (policy: Policy, roles: readonly string[]): boolean =>
  policy.roles.includes("public") || roles.every((role) => policy.roles.includes(role));

/** `TO a, b` of CREATE POLICY; PUBLIC is a keyword, not a name. */
export const rolesSql = (roles: readonly string[]): string =>
  roles.includes("public") ? "PUBLIC" : roles.map((role) => identifier(role)).join(", ");

/** The tenant comparison to write: null instead of an error when the setting is missing or empty, computed once per statement. */
export function tenantPredicate(column: Column, setting: string): string {
  const value = `nullif(current_setting(${literal(setting)}, true), '')`;
  const isText =
    ["text", "varchar", "bpchar"].includes(column.typeName.name) && column.typeName.schema === "pg_catalog";
  const type =
    column.typeName.schema === "pg_catalog"
      ? column.typeName.name
      : identifier(column.typeName.schema, column.typeName.name);
  return `${identifier(column.name)} = (SELECT ${value}${isText ? "" : `::${type}`})`;
}

/** One call of `current_setting` in an expression. */
export interface SettingCall {
  readonly start: number;
  readonly end: number;
  /** First argument as SQL, e.g. `'app.tenant_id'::text`. */
  readonly setting: string;
  /** True when a missing setting gives null; false when it raises; `undefined` when the argument is computed. */
  readonly missingOk: boolean | undefined;
  /** Type the result is cast to at once, when that type cannot hold the empty string. */
  readonly castTo: string | undefined;
}

const TEXT_TYPES = /^(?:text|character varying|varchar|name|bpchar|character|citext)\b/;

/** Calls that read a custom setting (a name with a dot); the server's own settings always exist. */
export function settingCalls(expression: string): SettingCall[] {
  const code = withoutLiterals(expression);
  const calls: SettingCall[] = [];
  for (const match of code.matchAll(/(?<![\w$"])(?:pg_catalog\.)?current_setting\s*\(/gi)) {
    const open = match.index + match[0].length - 1;
    const close = closingParenthesis(code, open);
    if (close < 0) continue;
    const [setting = "", missing] = splitOutside(expression.slice(open + 1, close), /\s*,\s*/);
    const name = /^'((?:[^']|'')*)'/.exec(setting)?.[1];
    if (name !== undefined && !name.includes(".")) continue;
    const missingText = missing === undefined ? "false" : stripParentheses(missing).toLowerCase();
    calls.push({
      start: match.index,
      end: close + 1,
      setting,
      missingOk: missingText === "true" ? true : missingText === "false" ? false : undefined,
      castTo: castAfter(code, match.index, close + 1),
    });
  }
  return calls;
}

/** `(current_setting(…))::uuid`: the parentheses around the call alone are stepped over, nothing else. */
function castAfter(code: string, start: number, end: number): string | undefined {
  let before = start;
  let after = end;
  while (code[before - 1] === "(" && code[after] === ")" && !/[\w"]/.test(code[before - 2] ?? " ")) {
    before -= 1;
    after += 1;
  }
  const type = /^\s*::\s*((?:"[^"]+"|[a-z_][\w ]*)(?:\.(?:"[^"]+"|\w+))?)/i.exec(code.slice(after))?.[1]?.trim();
  return type === undefined || TEXT_TYPES.test(type.replace(/^.*\./, "")) ? undefined : type;
}

/** The expression with every custom setting read so that a missing or empty one gives null. */
export function withSafeSettings(expression: string): string {
  let text = expression;
  for (const call of settingCalls(expression).toReversed()) {
    const missingOk =
      call.missingOk === undefined ? expression.slice(call.start, call.end) : `current_setting(${call.setting}, true)`;
    text =
      text.slice(0, call.start) +
      (call.castTo === undefined ? missingOk : `NULLIF(${missingOk}, ''::text)`) +
      text.slice(call.end);
  }
  return text;
}
