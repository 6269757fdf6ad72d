// Tells what a way back leaves on purpose: an extension or a schema that was made only where it was not there. Others may use it, so
// hardly anybody drops it, and made again it is the same.
import type { Change } from "../../catalog/index.ts";
import type { ScriptStatement } from "../sql-script.ts";

export interface LeftBehind {
  /** The shared things and what belongs to them: comments, privileges. */
  readonly left: readonly Change[];
  readonly rest: readonly Change[];
  /** E.g. `the extension citext`. */
  readonly names: readonly string[];
}

/**
 * @param up - the statements of the way there
 * @param changes - from before it to after its way back
 */
export function separateLeftBehind(up: readonly ScriptStatement[], changes: readonly Change[]): LeftBehind {
  const shared = new Set(up.flatMap(sharedName));
  const isShared = (change: Change): boolean =>
    change.kind === "create" && shared.has(`${change.after.kind} ${change.after.name}`);
  const ids = new Set(
    changes.flatMap((change) => (change.kind === "create" && isShared(change) ? change.after.id : [])),
  );
  const left = changes.filter(
    (change) => isShared(change) || (change.kind === "create" && ids.has(change.after.parent ?? "")),
  );
  return {
    left,
    rest: changes.filter((change) => !left.includes(change)),
    names: left.flatMap((change) =>
      change.kind === "create" && isShared(change) ? `the ${change.after.kind} ${change.after.name}` : [],
    ),
  };
}

function sharedName({ kind, node }: ScriptStatement): readonly string[] {
  if (node["if_not_exists"] !== true) return [];
  if (kind === "CreateExtensionStmt") return [`extension ${String(node["extname"])}`];
  if (kind === "CreateSchemaStmt" && typeof node["schemaname"] === "string") return [`schema ${node["schemaname"]}`];
  return [];
}
