// What undoes the statements of one object: its DROP for a CREATE, its CREATE for a DROP, the opposite ALTER for an ALTER.
import { rankOf, separateDefaults, writtenIn, type CatalogObject, type CreateContext } from "../catalog/index.ts";
import { alterObject } from "./rules/alter.ts";
import { createStatements } from "./rules/create.ts";
import { dropStatements } from "./rules/drop.ts";
import type { PlannedStatement, RuleContext } from "./rules/statement.ts";

/** Statements of a way back, one after the other. */
export function asText(statements: readonly PlannedStatement[]): string {
  return statements
    .map(({ sql }) => sql)
    .filter((sql) => !sql.startsWith("SET LOCAL "))
    .join(";\n");
}

export class Reversals {
  readonly #context: RuleContext;
  readonly #create: CreateContext;

  /** @param context - of the way there */
  constructor(context: RuleContext) {
    const { serverVersion, before, after, isLive } = context;
    this.#context = { serverVersion, before: after, after: before, isLive };
    this.#create = { serverVersion, objects: before, separateDefaults: separateDefaults(before) };
  }

  ofCreate(object: CatalogObject): string {
    return asText(dropStatements(object, this.#context));
  }

  /** @param parts - what goes with one DROP, the object itself among them */
  ofDrop(parts: readonly CatalogObject[]): string {
    const ids = new Set(parts.map(({ id }) => id));
    const { objects, separateDefaults: separate } = this.#create;
    const own = parts
      .filter((part) => writtenIn(part, objects, (id) => ids.has(id), separate) === part.id)
      .toSorted((a, b) => rankOf(a.kind) - rankOf(b.kind));
    return asText(
      own.flatMap((part) => {
        const { statements, validation } = createStatements(part, this.#context, this.#create);
        return [...statements, ...validation];
      }),
    );
  }

  ofAlter(before: CatalogObject, after: CatalogObject): string {
    const way = alterObject(after, before, this.#context);
    if (way !== "recreate") return asText(way.statements);
    return [this.ofCreate(after), this.ofDrop([before])].filter((sql) => sql !== "").join(";\n");
  }
}
