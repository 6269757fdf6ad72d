// Which statements of the pending migrations do away with rows or values, as far as SQL can tell; whether there are any is for the database
// to say. Tables that the same migrations make lose nothing.
import { applyAction } from "../apply-statement.ts";
import { BatchState, type TableState } from "../batch-state.ts";
import { KEPT_SCHEMA, keptColumnTable } from "../drop/kept-names.ts";
import { statementsOfBlock } from "../lint-parse.ts";
import { isSelective, typeChangeForm, type TypeChangeForm } from "../lossy-type-change.ts";
import { parseSqlScript, type ScriptStatement } from "../sql-script.ts";
import {
  actionsOf,
  childOf,
  droppedNames,
  flagOf,
  isNode,
  listOf,
  relationName,
  textOf,
  unwrap,
  type Action,
  type Name,
  type Node,
} from "../syntax.ts";
import { typeOf, type ColumnType } from "../type-change.ts";
import type { PlannedMigration } from "./run-migrations.ts";

/** A table as it is called before the migrations; without a schema in the path the session's own holds. */
export interface LosingTable extends Name {
  readonly path: readonly string[] | undefined;
}

export type LosingThing =
  | {
      readonly kind: "rows";
      readonly table: LosingTable;
      readonly how: "dropped" | "emptied" | "deleted";
      /** With those of every table that refers to it. */
      readonly cascades: boolean;
    }
  | {
      readonly kind: "column";
      readonly table: LosingTable;
      readonly column: string;
      /** Its name when it is dropped, if the migrations rename it before. */
      readonly renamed: string | undefined;
      /** In `pgsteward_kept`, where its values may be kept already. */
      readonly keptTable: string;
    }
  | {
      readonly kind: "values";
      readonly table: LosingTable;
      readonly column: string;
      readonly to: ColumnType | undefined;
      readonly form: TypeChangeForm;
    }
  | { readonly kind: "schema"; readonly name: string }
  | { readonly kind: "extension"; readonly name: string; readonly cascades: boolean }
  | { readonly kind: "type"; readonly type: LosingTable }
  /** Nothing in the database can tell that it is harmless. */
  | { readonly kind: "whole"; readonly what: string };

export interface LosingStatement {
  readonly migration: PlannedMigration;
  /** From 1, in the file. */
  readonly line: number;
  readonly thing: LosingThing;
}

/** @param planned - in the order in which they run */
export async function losingStatements(planned: readonly PlannedMigration[]): Promise<readonly LosingStatement[]> {
  const reader = new LossReader();
  const found: LosingStatement[] = [];
  for (const migration of planned) {
    reader.startFile();
    for (const { line, sql } of migration.groups.flatMap(({ statements }) => statements)) {
      const { statements } = await parseSqlScript(sql, migration.file);
      for (const statement of statements) {
        const run = statement.kind === "DoStmt" ? (await statementsOfBlock(statement)).statements : [statement];
        for (const inner of run) {
          const at = line + sql.slice(0, inner.offset).split("\n").length - 1;
          for (const thing of reader.read(inner)) found.push({ migration, line: at, thing });
        }
      }
    }
  }
  return found;
}

class LossReader {
  readonly #state = new BatchState(undefined);
  /** What a table and its columns were called before the migrations. */
  readonly #names = new WeakMap<TableState, LosingTable>();
  readonly #columns = new WeakMap<TableState, Map<string, string>>();

  /** Each file has settings of its own. */
  startFile(): void {
    this.#state.settings.clear();
    this.#state.searchPath = ["public"];
  }

  read(statement: ScriptStatement): readonly LosingThing[] {
    return actionsOf(statement).flatMap((action) => {
      const things = [...this.#lostBy(action)];
      this.#apply(action);
      return things;
    });
  }

  #apply(action: Action): void {
    const { kind, node } = action;
    const made = kind === "CreateTableAsStmt" ? childOf(childOf(node, "into"), "rel") : childOf(node, "relation");
    const name = relationName(made);
    // It may be there already.
    if (/^Create(?:Table(?:As)?)?Stmt$/.test(kind) && flagOf(node, "if_not_exists") && name !== undefined) {
      this.#table(name);
      return;
    }
    if ((kind === "RenameStmt" || kind === "AlterObjectSchemaStmt") && action.table !== undefined) {
      const table = this.#table(action.table);
      const from = textOf(node, "subname");
      const to = textOf(node, "newname");
      if (node["renameType"] === "OBJECT_COLUMN" && from !== undefined && to !== undefined) {
        const columns = this.#columns.get(table) ?? new Map<string, string>();
        columns.set(to, columns.get(from) ?? from);
        this.#columns.set(table, columns);
      }
    }
    applyAction(this.#state, action);
  }

  #lostBy(action: Action): readonly LosingThing[] {
    const { kind, node, table, name: column = "", cascades } = action;
    switch (kind) {
      case "AT_DropColumn":
        return this.#live(table).flatMap(({ state, known }) => {
          const old = this.#columns.get(state)?.get(column) ?? column;
          const keptTable = keptColumnTable({ schema: state.schema, table: state.name, column });
          if (this.#state.find({ schema: KEPT_SCHEMA, name: keptTable })?.isDropped === false) return [];
          return [
            { kind: "column", table: known, column: old, renamed: old === column ? undefined : column, keptTable },
          ];
        });
      case "AT_AlterColumnType":
        return this.#live(table).map(({ state, known }) => ({
          kind: "values",
          table: known,
          column: this.#columns.get(state)?.get(column) ?? column,
          to: typeOf(childOf(node, "typeName")),
          form: typeChangeForm(node, column),
        }));
      case "TruncateStmt":
        return listOf(node, "relations").flatMap(({ node: relation }) =>
          this.#live(relationName(relation)).map(({ known }) => ({
            kind: "rows" as const,
            table: known,
            how: "emptied" as const,
            cascades,
          })),
        );
      case "DropStmt":
        return this.#droppedBy(node, cascades);
      case "DropdbStmt":
        return [{ kind: "whole", what: `the database ${textOf(node, "dbname") ?? ""} is dropped` }];
      case "DropOwnedStmt":
        return [{ kind: "whole", what: "everything that a role owns is dropped" }];
      default:
        return deletesOf(kind, node).flatMap((name) =>
          this.#live(name).map(({ known }) => ({
            kind: "rows" as const,
            table: known,
            how: "deleted" as const,
            cascades: false,
          })),
        );
    }
  }

  #droppedBy(node: Node, cascades: boolean): readonly LosingThing[] {
    const names = droppedNames(node);
    switch (node["removeType"]) {
      case "OBJECT_TABLE":
        return names
          .filter((name) => !this.#isRestored(name))
          .flatMap((name) =>
            this.#live(name).map(({ known }) => ({
              kind: "rows" as const,
              table: known,
              how: "dropped" as const,
              cascades: false,
            })),
          );
      case "OBJECT_SCHEMA":
        // Without CASCADE the server refuses one that holds anything.
        return cascades
          ? names
              .filter(({ name }) => !this.#state.newSchemas.has(name))
              .map(({ name }) => ({ kind: "schema" as const, name }))
          : [];
      case "OBJECT_EXTENSION":
        return names.map(({ name }) => ({ kind: "extension" as const, name, cascades }));
      case "OBJECT_TYPE":
      case "OBJECT_DOMAIN":
        return cascades ? names.map((name) => ({ kind: "type" as const, type: this.#placed(name) })) : [];
      default:
        return [];
    }
  }

  /** A kept copy whose column is back in the same migrations. */
  #isRestored({ schema, name }: Name): boolean {
    if (schema !== KEPT_SCHEMA) return false;
    return [...this.#state.tables.values()].some((table) =>
      [...table.columns.keys()].some(
        (column) => keptColumnTable({ schema: table.schema, table: table.name, column }) === name,
      ),
    );
  }

  #live(name: Name | undefined): readonly { readonly state: TableState; readonly known: LosingTable }[] {
    if (name === undefined) return [];
    const state = this.#table(name);
    return state.isNew || state.isDropped ? [] : [{ state, known: this.#names.get(state) ?? this.#placed(name) }];
  }

  #table(name: Name): TableState {
    const table = this.#state.table(name);
    if (!this.#names.has(table)) this.#names.set(table, this.#placed(name));
    return table;
  }

  #placed({ schema, name }: Name): LosingTable {
    return { schema, name, path: this.#state.settings.has("search_path") ? this.#state.searchPath : undefined };
  }
}

/** Tables of which every row is deleted, by the statement or in its WITH. */
function deletesOf(kind: string, node: Node): readonly Name[] {
  const inner = listOf(childOf(node, "withClause"), "ctes").flatMap(({ node: expression }) => {
    const query = expression["ctequery"];
    return isNode(query) ? [unwrap(query)] : [];
  });
  return [{ kind, node }, ...inner].flatMap((statement) => {
    if (statement.kind !== "DeleteStmt" || isSelective(statement.node)) return [];
    return relationName(childOf(statement.node, "relation")) ?? [];
  });
}
