// Whether, and under which names, the statements of a unit are prepared on the server.
import { preparedStatementName, WireStatement, type Database, type Statement } from "../postgres/index.ts";

export class StatementNames {
  readonly #database: Database;
  #isUsed: boolean;

  constructor(database: Database, isUsed: boolean) {
    this.#database = database;
    this.#isUsed = isUsed;
  }

  get areUsed(): boolean {
    return this.#isUsed;
  }

  /** After the server lost track of our prepared statements: this unit goes on without names. */
  stop(): void {
    this.#isUsed = false;
  }

  nameOf(text: string): string | undefined {
    return this.#isUsed && this.#database.preparesStatements ? preparedStatementName(text) : undefined;
  }

  /** @throws InvalidInputError for a value that cannot be sent */
  wireOf(statement: Statement): WireStatement {
    if (statement.name !== undefined || statement.prepare === false) return new WireStatement(statement);
    return new WireStatement(statement, this.nameOf(statement.text));
  }
}
