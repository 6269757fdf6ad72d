// Which tool a migration file belongs to, and therefore where transactions begin and end: the same SQL is safe in one and not in another.
import { splitChangesets, withoutDownPart, withoutOtherChangesets } from "./adopt/parts.ts";
import { toolOfFile, transactionScope, type MigrationTool, type TransactionScope } from "./adopt/tools.ts";
import type { ScriptStatement } from "./sql-script.ts";
import { textOf } from "./syntax.ts";

export interface LintFile {
  /** Path as it is shown; the tool is told by it and by marks in the text. */
  readonly name: string;
  readonly text: string;
  /**
   * What runs as one transaction, where the caller knows better than the file's name and marks: every statement alone, the file,
   * all files together, or the file when it has several statements (`implicit`).
   */
  readonly transaction?: TransactionScope | undefined;
  /** Whose it is, where the caller knows better than its name and marks, e.g. by what lies beside it. */
  readonly tool?: MigrationTool | undefined;
}

export interface RecognisedFile {
  readonly tool: MigrationTool;
  /** What is linted: parts that undo the migration are blank. */
  readonly text: string;
  readonly transaction: TransactionScope;
}

export function recogniseFile(file: LintFile): RecognisedFile {
  const tool = file.tool ?? toolOfFile(file.name, file.text);
  const up = withoutDownPart(file.text);
  const text = tool === "liquibase" ? withoutOtherChangesets(up) : up;
  return { tool, text, transaction: file.transaction ?? transactionScope(tool, text) };
}

/** The statements that share the extent of their transactions: the file's, or those of each of Liquibase's changesets. */
export function unitsOf(
  recognised: RecognisedFile,
  statements: readonly ScriptStatement[],
): readonly { readonly statements: readonly ScriptStatement[]; readonly transaction: TransactionScope }[] {
  const changesets = recognised.tool === "liquibase" ? splitChangesets(recognised.text) : [];
  // The caller's word stands above the marks in the text.
  if (changesets.length === 0 || recognised.transaction !== "file") return [{ ...recognised, statements }];
  const starts = [0, ...changesets.map(({ start }) => start), Infinity];
  return starts.slice(0, -1).map((start, index) => ({
    statements: statements.filter(({ offset }) => offset >= start && offset < (starts[index + 1] ?? Infinity)),
    transaction: changesets[index - 1]?.transaction ?? recognised.transaction,
  }));
}

/** A statement with the transaction it runs in; statements of one transaction share the number. */
export interface PlacedStatement {
  readonly statement: ScriptStatement;
  /** `undefined` when it runs on its own. */
  readonly transaction: number | undefined;
  /** Who opened the transaction; `query`: nobody, several statements sent as one query are one. */
  readonly openedBy: "file" | "tool" | "query" | undefined;
}

export interface TransactionFault {
  readonly statement: ScriptStatement;
  readonly kind: "nested" | "not open" | "never ended";
}

const BEGINS: ReadonlySet<unknown> = new Set(["TRANS_STMT_BEGIN", "TRANS_STMT_START"]);
const ENDS: ReadonlySet<unknown> = new Set(["TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_PREPARE"]);

/** Gives each statement its transaction. `batchTransaction` is the number all files share where the tool works so. */
export function placeStatements(
  statements: readonly ScriptStatement[],
  transaction: TransactionScope,
  nextNumber: () => number,
  batchTransaction: number,
): { readonly placed: readonly PlacedStatement[]; readonly faults: readonly TransactionFault[] } {
  const controls = statements.filter(({ kind }) => kind === "TransactionStmt");
  // SET LOCAL works in a transaction only: whoever writes it first thing knows that the runner opens one.
  const firstLocal = statements.findIndex(({ kind, node }) => kind === "VariableSetStmt" && node["is_local"] === true);
  const firstBegin = statements.findIndex(({ node }) => BEGINS.has(node["kind"]));
  const expectsTransaction =
    transaction === "statement" && firstLocal !== -1 && (firstBegin === -1 || firstLocal < firstBegin);
  const isOne = transaction === "file" || expectsTransaction || (transaction === "implicit" && statements.length > 1);
  const outer = transaction === "batch" ? batchTransaction : isOne ? nextNumber() : undefined;
  const openedByTool = outer !== undefined && transaction !== "implicit" && !expectsTransaction;

  const placed: PlacedStatement[] = [];
  const faults: TransactionFault[] = [];
  let own: { readonly number: number; readonly begin: ScriptStatement } | undefined;
  for (const statement of statements) {
    if (statement.kind === "TransactionStmt") {
      const kind = textOf(statement.node, "kind");
      if (BEGINS.has(kind)) {
        if (own !== undefined || openedByTool) faults.push({ statement, kind: "nested" });
        own ??= { number: nextNumber(), begin: statement };
      } else if (ENDS.has(kind)) {
        if (openedByTool && own === undefined) faults.push({ statement, kind: "nested" });
        else if (own === undefined && outer === undefined) faults.push({ statement, kind: "not open" });
        own = undefined;
      }
      placed.push({ statement, transaction: undefined, openedBy: undefined });
      continue;
    }
    const number = own?.number ?? outer;
    const opener = own !== undefined ? "file" : transaction === "implicit" ? "query" : "tool";
    placed.push({ statement, transaction: number, openedBy: number === undefined ? undefined : opener });
  }
  if (own !== undefined && controls.length > 0) faults.push({ statement: own.begin, kind: "never ended" });
  return { placed, faults };
}
