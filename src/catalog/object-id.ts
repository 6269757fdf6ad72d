// Identities of objects: the same object has the same id in every catalog.
import { identifier } from "../postgres/index.ts";
import type { ObjectKind } from "./object-facts.ts";

/** A qualified name as SQL. */
export function qualified({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return identifier(schema, name);
}

/** The id of an object, readable: `index shop.orders.orders_state_idx`. */
export function objectId(kind: ObjectKind, schema: string | undefined, name: string, part?: string): string {
  let id = `${kind} `;
  if (schema !== undefined) id += `${readable(schema)}.`;
  id += readable(name);
  return part === undefined ? id : `${id}.${readable(part)}`;
}

function readable(name: string): string {
  return name.includes(".") || name.includes('"') ? JSON.stringify(name) : name;
}
