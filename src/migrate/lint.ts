// Lints SQL migrations of any tool: reads the statements of the whole batch in their order, keeps what is known of the database up to
// date with each, and asks every rule about each. Pure: reads no file and no server.
import { InvalidInputError } from "../postgres/errors.ts";
import { applyAction } from "./apply-statement.ts";
import { BatchState, type TableState } from "./batch-state.ts";
import { readBatch, type FileState, type LintedStatement } from "./lint-batch.ts";
import { recogniseFile, type LintFile } from "./lint-files.ts";
import { statementsOfBlock } from "./lint-parse.ts";
import type { LintConfig, LintFinding, LintOptions, LintReport } from "./lint-report.ts";
import { LINT_RULES } from "./lint-rules/index.ts";
import type { LintRule, LintSeverity, RuleContext, RuleMatch, TransactionState } from "./lint-rules/rule.ts";
import { opaqueStatement } from "./lint-rules/transactions.ts";
import * as whole from "./lint-rules/whole-batch.ts";
import { lockEffects, LOCK_MODES, type LockEffect } from "./locks.ts";
import { parseSqlScript, placeOf, type ScriptStatement } from "./sql-script.ts";
import { actionsOf, type Action, type Name } from "./syntax.ts";
import { noteDone } from "./transaction-state.ts";

export const NEWEST_SERVER_VERSION = 18;
const OLDEST_SERVER_VERSION = 14;

/** Off, and told by their number only. */
const COUNTED: ReadonlySet<string> = new Set([
  "missing-lock-timeout",
  "foreign-key-without-index",
  "unvalidated-constraint",
]);

interface ActiveRule {
  readonly rule: LintRule;
  readonly severity: LintSeverity | "counted";
}

/**
 * Lints files in the order they will run.
 *
 * A statement with a syntax error is a finding (`syntax-error`, always on); the others of its file are linted all the same.
 *
 * @throws InvalidSqlError for a syntax error in the files that ran before (`applied`), with file, line, column and a caret
 * @throws InvalidInputError for an unknown rule or a server version out of 14 to 18
 */
export async function lintSql(files: readonly LintFile[], options: LintOptions = {}): Promise<LintReport> {
  const version = versionOf(options);
  const severities = activeRules(options);
  const { statements, states } = await readBatch(files);
  const before = new BatchState(options.catalog);
  for (const file of options.applied ?? []) {
    const script = await parseSqlScript(recogniseFile(file).text, file.name);
    for (const statement of script.statements) {
      const run = statement.kind === "DoStmt" ? (await statementsOfBlock(statement)).statements : [statement];
      for (const action of run.flatMap((item) => actionsOf(item))) applyAction(before, action);
    }
    before.settle();
  }
  const run = new LintRun(options, before, version, severities);
  run.lint(statements, states);
  const order = new Map(states.map(({ name }, index) => [name, index]));
  const findings = run.findings.toSorted(
    (a, b) => (order.get(a.file) ?? 0) - (order.get(b.file) ?? 0) || a.line - b.line || a.column - b.column,
  );
  const isOn = (severity: ActiveRule["severity"]): boolean => severity !== "counted";
  const count = (severity: LintSeverity): number => findings.filter((finding) => finding.severity === severity).length;
  return {
    findings,
    ignored: run.ignored,
    alsoSeen: [...run.alsoSeen].map(([rule, seen]) => ({ rule, count: seen })),
    counts: { error: count("error"), warning: count("warning"), info: count("info") },
    examined: {
      files: files.length,
      statements: statements.length,
      rules: [...severities.values()].filter(isOn).length,
    },
    serverVersion: version,
    hasCatalog: options.catalog !== undefined,
    files: states.map(({ name, recognised: { tool, transaction } }) => ({ name, tool, transaction })),
  };
}

function versionOf({ serverVersion, catalog }: LintOptions): number {
  const version =
    serverVersion ?? (catalog === undefined ? NEWEST_SERVER_VERSION : Math.floor(catalog.serverVersion / 10_000));
  if (Number.isInteger(version) && version >= OLDEST_SERVER_VERSION) return Math.min(version, NEWEST_SERVER_VERSION);
  throw new InvalidInputError(`${version} is not a major version of PostgreSQL from ${OLDEST_SERVER_VERSION} on`, {
    hint: `give one from ${OLDEST_SERVER_VERSION} to ${NEWEST_SERVER_VERSION}, e.g. 17`,
  });
}

function activeRules({ config = {}, ownRules = [] }: LintOptions): ReadonlyMap<LintRule, ActiveRule["severity"]> {
  const { preset = "recommended", rules = {} } = config;
  const all = [...LINT_RULES, ...ownRules];
  const known = new Set(all.map(({ id }) => id));
  if (known.size < all.length)
    throw new InvalidInputError("two lint rules have the same id", { hint: "give each of ownRules an id of its own" });
  const unknown = Object.keys(rules).filter((id) => !known.has(id));
  if (unknown.length > 0)
    throw new InvalidInputError(`there is no lint rule ${unknown.join(", ")}`, {
      hint: "docs/lint.md names every rule",
    });
  const active = new Map<LintRule, ActiveRule["severity"]>();
  for (const rule of all) {
    const isOn = rule.isRecommended || (preset === "all" && rule.isPolicy !== true);
    const said = rules[rule.id] ?? (isOn ? "on" : COUNTED.has(rule.id) ? "counted" : "off");
    if (said !== "off") active.set(rule, said === "on" ? rule.severity : said);
  }
  return active;
}

class LintRun {
  readonly findings: LintFinding[] = [];
  readonly alsoSeen = new Map<string, number>();
  readonly ignored: { readonly finding: LintFinding; readonly reason: string }[] = [];
  readonly #state: BatchState;
  readonly #config: LintConfig;
  readonly #transactions = new Map<number, TransactionState>();
  /** Statements that add constraints, with the constraints there were before. */
  readonly #pending: { readonly name: Name; readonly known: ReadonlySet<string>; readonly at: LintedStatement }[] = [];
  readonly #added: {
    readonly table: TableState;
    readonly constraint: string;
    readonly kind: string;
    readonly at: LintedStatement;
  }[] = [];

  readonly #version: number;
  readonly #exactVersion: number | undefined;
  readonly #rules: ReadonlyMap<LintRule, ActiveRule["severity"]>;
  readonly #known: ReadonlySet<string>;
  readonly #rulesByKind = new Map<string, readonly ActiveRule[]>();

  constructor(
    options: LintOptions,
    before: BatchState,
    version: number,
    rules: ReadonlyMap<LintRule, ActiveRule["severity"]>,
  ) {
    this.#version = version;
    this.#exactVersion = options.catalog?.serverVersion;
    this.#rules = rules;
    this.#known = new Set([...LINT_RULES, ...(options.ownRules ?? [])].map(({ id }) => id));
    this.#state = before;
    this.#config = options.config ?? {};
  }

  lint(statements: readonly LintedStatement[], files: readonly FileState[]): void {
    const actions = statements.flatMap((statement) => statement.actions);
    let position = 0;
    let file: FileState | undefined;
    for (const statement of statements) {
      if (file !== statement.file) this.#startFile(statement.file);
      file = statement.file;
      const next = position + statement.actions.length;
      this.#lintStatement(statement, actions, position);
      position = next;
    }
    for (const state of files) {
      this.#reportSyntax(state);
      this.#reportFaults(state);
    }
    this.#lintEnd();
    for (const state of files) this.#lintIgnores(state);
  }

  /** Each file is taken to have a session of its own, unless the tool runs all in one transaction. */
  #startFile({ recognised }: FileState): void {
    if (recognised.transaction === "batch") return;
    this.#state.settings.clear();
    this.#state.searchPath = ["public"];
  }

  readonly #isLive = (table: Name | TableState | undefined): boolean => {
    if (table === undefined) return true;
    const found = "isNew" in table ? table : this.#state.table(table);
    const { smallTableRows } = this.#config;
    const isSmall =
      smallTableRows !== undefined && found.rowEstimate !== undefined && found.rowEstimate <= smallTableRows;
    return !found.isNew && !found.isDropped && !isSmall;
  };

  #lintStatement(linted: LintedStatement, all: readonly Action[], position: number): void {
    const { transaction } = linted;
    const before = transaction === undefined ? undefined : this.#transaction(transaction);
    const seen: string[] = [];
    const taken: LockEffect[] = [];
    for (const action of linted.actions) {
      // Outside a transaction few rules ask for the locks.
      let known: readonly LockEffect[] | undefined;
      const effectsOf = (): readonly LockEffect[] =>
        (known ??= lockEffects(action, this.#state, this.#version).filter(({ table }) => this.#isLive(table)));
      const context: RuleContext = {
        ...linted,
        action,
        get effects() {
          return effectsOf();
        },
        before,
        state: this.#state,
        version: this.#version,
        exactVersion: this.#exactVersion,
        tool: linted.file.recognised.tool,
        // Few rules look around: copying both sides for each of thousands of statements would cost more than all the rules.
        earlier: () => all.slice(0, position),
        later: () => all.slice(position + linted.actions.length),
        requiredColumns: this.#config.requiredColumns,
        maxInsertRows: this.#config.maxInsertRows,
        isLive: this.#isLive,
      };
      for (const { rule, severity } of this.#rulesFor(action.kind)) {
        const found = rule.check(context);
        if (found === undefined) continue;
        for (const match of Array.isArray(found) ? (found as readonly RuleMatch[]) : [found as RuleMatch]) {
          const key = `${rule.id} ${match.message}`;
          if (seen.includes(key)) continue; // an ALTER TABLE with the same command for one thing twice
          seen.push(key);
          if (severity === "counted") this.#count(rule);
          else this.#report(rule, match.severity ?? severity, match, linted, effectsOf());
        }
      }
      if (before !== undefined) taken.push(...effectsOf());
      this.#noteConstraints(action, linted);
      applyAction(this.#state, action);
    }
    if (before !== undefined) noteDone(before, linted, taken, this.#state);
  }

  /** Most rules look at one kind of action: the others are not asked. */
  #rulesFor(kind: string): readonly ActiveRule[] {
    const known = this.#rulesByKind.get(kind);
    if (known !== undefined) return known;
    const made = [...this.#rules]
      .filter(([{ on }]) => on === undefined || on.includes(kind))
      .map(([rule, severity]) => ({ rule, severity }));
    this.#rulesByKind.set(kind, made);
    return made;
  }

  #transaction(number: number): TransactionState {
    const known = this.#transactions.get(number);
    if (known !== undefined) return known;
    const made: TransactionState = { held: [], addedEnumValues: new Set(), referencedTables: new Set() };
    this.#transactions.set(number, made);
    return made;
  }

  #noteConstraints(action: Action, at: LintedStatement): void {
    if (action.table === undefined || !["AT_AddConstraint", "AT_AddColumn", "CreateStmt"].includes(action.kind)) return;
    const known = new Set(action.kind === "CreateStmt" ? [] : this.#state.find(action.table)?.constraints.keys());
    this.#pending.push({ name: action.table, known, at });
  }

  /** What is still open when the whole batch has run. */
  #lintEnd(): void {
    for (const { name, known, at } of this.#pending) {
      const table = this.#state.find(name);
      if (table === undefined || table.isDropped) continue;
      for (const [constraint, { kind, columns, isValidated }] of table.constraints) {
        if (known.has(constraint) || this.#added.some((item) => item.table === table && item.constraint === constraint))
          continue;
        this.#added.push({ table, constraint, kind, at });
        if (!isValidated) {
          this.#reportWhole(whole.unvalidatedConstraint, at, {
            message: `${constraint} of ${table.name} is not validated`,
            rewrite: `ALTER TABLE ${table.name} VALIDATE CONSTRAINT ${constraint};`,
          });
        }
        if (kind !== "foreign key" || !table.isComplete) continue;
        const hasIndex = [...table.indexes.values()].some(
          ({ columns: keys, isPartial, notNullColumn }) =>
            columns.every((column) => keys.slice(0, columns.length).includes(column)) &&
            (!isPartial || (notNullColumn !== undefined && columns.includes(notNullColumn))),
        );
        if (!hasIndex) {
          this.#reportWhole(whole.foreignKeyWithoutIndex, at, {
            message: `${columns.join(", ")} of ${table.name} has no index`,
            rewrite: `CREATE INDEX CONCURRENTLY ON ${table.name} (${columns.join(", ")});`,
          });
        }
      }
    }
  }

  #reportSyntax(file: FileState): void {
    for (const { offset, message, advice } of file.syntaxFaults) {
      const match = { message, rewrite: `-- ${advice ?? "correct it"}: this statement was not looked at` };
      this.#report(whole.syntaxError, "error", match, { statement: lineAt(file, offset), file }, []);
    }
    for (const { offset, text } of file.unread)
      this.#reportWhole(
        opaqueStatement,
        { statement: lineAt(file, offset), file },
        {
          message: `what ${text.trim().split(/\s/, 1)[0] ?? ""} runs does not stand in this file`,
          rewrite: "-- write the statements themselves, or lint the other file, too",
        },
      );
  }

  #reportFaults(file: FileState): void {
    for (const { statement, kind } of file.faults) {
      const at = { statement, file };
      if (kind === "never ended")
        this.#reportWhole(whole.uncommittedTransaction, at, {
          message: "the transaction is not ended in this file",
          rewrite: "COMMIT;",
        });
      else
        this.#reportWhole(whole.transactionNesting, at, {
          message: kind === "nested" ? "a transaction is open already" : "no transaction is open",
          rewrite: "-- take it out",
        });
    }
  }

  #lintIgnores(file: FileState): void {
    if (file.ignores.length === 0) return;
    for (const ignore of file.ignores) {
      const statement = lineAt(file, ignore.offset);
      const unknown = ignore.rules.filter((rule) => !this.#known.has(rule));
      if (ignore.rules.length === 0 || ignore.reason === "" || unknown.length > 0) {
        this.#reportWhole(
          whole.ignoreWithoutReason,
          { statement, file },
          {
            message:
              unknown.length > 0
                ? `there is no lint rule ${unknown.join(", ")}`
                : ignore.rules.length === 0
                  ? "no rule is named"
                  : "no reason is given",
            rewrite: "-- pgsteward:ignore rule reason",
          },
        );
        continue;
      }
      const unused = ignore.rules.filter((rule) => !ignore.used.has(rule));
      if (unused.length > 0)
        this.#reportWhole(
          whole.unusedIgnore,
          { statement, file },
          { message: `${unused.join(", ")} found nothing here`, rewrite: "-- take it out" },
        );
    }
  }

  #reportWhole(rule: LintRule, at: Pick<LintedStatement, "statement" | "file" | "within">, match: RuleMatch): void {
    const severity = this.#rules.get(rule);
    if (severity === "counted") this.#count(rule);
    else if (severity !== undefined) this.#report(rule, severity, match, at, []);
  }

  #count({ id }: LintRule): void {
    this.alsoSeen.set(id, (this.alsoSeen.get(id) ?? 0) + 1);
  }

  #report(
    rule: LintRule,
    severity: LintSeverity,
    match: RuleMatch,
    { statement, file, within = statement }: Pick<LintedStatement, "statement" | "file" | "within">,
    effects: readonly LockEffect[],
  ): void {
    const strongest = effects.toSorted((a, b) => LOCK_MODES.indexOf(b.mode) - LOCK_MODES.indexOf(a.mode))[0];
    const { line, column } = placeOf(file.text, statement.offset);
    const finding: LintFinding = {
      rule: rule.id,
      severity,
      file: file.name,
      line,
      column,
      statement: statement.text,
      message: match.message,
      lock:
        strongest === undefined
          ? undefined
          : {
              mode: strongest.mode,
              relation: `${strongest.table.schema}.${strongest.table.name}`,
              rewrites: strongest.rewrites,
              scans: strongest.scans,
            },
      why: rule.why,
      rewrite: match.rewrite,
      documentation: `docs/lint.md#${rule.id}`,
    };
    const ignore = file.ignores.find(
      (candidate) => candidate.statement === within && candidate.reason !== "" && candidate.rules.includes(rule.id),
    );
    if (ignore === undefined) this.findings.push(finding);
    else {
      ignore.used.add(rule.id);
      this.ignored.push({ finding, reason: ignore.reason });
    }
  }
}

/** What stands in a line from there on, where no statement was read. */
function lineAt({ text }: FileState, offset: number): ScriptStatement {
  const end = text.indexOf("\n", offset);
  return { text: text.slice(offset, end === -1 ? undefined : end).trimEnd(), kind: "", node: {}, offset };
}
