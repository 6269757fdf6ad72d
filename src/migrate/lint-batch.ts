// The files of a batch as the linter walks them: statements in their order, each with its transaction and its place.
import { ignoresOf, type Ignore } from "./lint-ignores.ts";
import {
  placeStatements,
  recogniseFile,
  unitsOf,
  type LintFile,
  type PlacedStatement,
  type RecognisedFile,
  type TransactionFault,
} from "./lint-files.ts";
import { parseForLint, statementsOfBlock, type SyntaxFault } from "./lint-parse.ts";
import type { PsqlPart } from "./psql-text.ts";
import { refusedInTransaction } from "./run-alone.ts";
import { actionsOf, type Action } from "./syntax.ts";

export interface LintedStatement extends PlacedStatement {
  readonly file: FileState;
  readonly actions: readonly Action[];
  /** The DO block it stands in: comments before that one are its own. */
  readonly within?: PlacedStatement["statement"] | undefined;
}

export interface FileState {
  readonly name: string;
  readonly text: string;
  readonly recognised: RecognisedFile;
  readonly ignores: readonly Ignore[];
  readonly faults: readonly TransactionFault[];
  readonly syntaxFaults: readonly SyntaxFault[];
  /** psql's commands that run what does not stand in the file. */
  readonly unread: readonly PsqlPart[];
}

export async function readBatch(
  files: readonly LintFile[],
): Promise<{ readonly statements: readonly LintedStatement[]; readonly states: readonly FileState[] }> {
  const statements: LintedStatement[] = [];
  const states: FileState[] = [];
  let transactions = 0;
  const nextNumber = (): number => ++transactions;
  const batchTransaction = nextNumber();
  for (const file of files) {
    const told = recogniseFile(file);
    const script = await parseForLint(told.text, file.name);
    // Flyway itself leaves the transaction out where every statement asks for it.
    const isAlone =
      told.tool === "flyway" &&
      script.statements.every((item) => actionsOf(item).some((action) => refusedInTransaction(action) !== undefined));
    const recognised: RecognisedFile = isAlone ? { ...told, transaction: "statement" } : told;
    const units = unitsOf(recognised, script.statements).map((unit) =>
      placeStatements(unit.statements, unit.transaction, nextNumber, batchTransaction),
    );
    const placed = units.flatMap((unit) => unit.placed);
    const faults = units.flatMap((unit) => unit.faults);
    const state: FileState = {
      name: file.name,
      text: file.text,
      recognised,
      faults,
      syntaxFaults: script.faults,
      unread: script.unread,
      ignores: ignoresOf(recognised.text, script.statements),
    };
    states.push(state);
    for (const { statement, transaction, openedBy } of placed) {
      if (statement.kind !== "DoStmt") {
        statements.push({ statement, transaction, openedBy, file: state, actions: actionsOf(statement) });
        continue;
      }
      const block = await statementsOfBlock(statement);
      const actions = block.isComplete ? [] : actionsOf(statement);
      statements.push({ statement, transaction, openedBy, file: state, actions });
      // All that a block does is one transaction, its own when there is no other.
      const inner = { transaction: transaction ?? nextNumber(), openedBy: openedBy ?? "file", file: state } as const;
      for (const item of block.statements)
        statements.push({ ...inner, statement: item, actions: actionsOf(item), within: statement });
    }
  }
  return { statements, states };
}
