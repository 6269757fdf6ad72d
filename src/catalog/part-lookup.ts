// Finds parts of relations, domains and functions by their names. Their ids would do, too, but a dependency names its two ends, and
// 50,000 ids of a large catalog would be written only to look something up.
import type { CatalogObject, ObjectKind } from "./object-facts.ts";

/** Of one relation by the name of the part: mostly one object, several for a column with a default. */
type Parts = Map<string, CatalogObject | CatalogObject[]>;

export class PartLookup {
  readonly #schemas = new Map<string, Map<string, Parts>>();
  /** Parts of one relation come one after the other. */
  #last: { readonly schema: string; readonly name: string; readonly parts: Parts } | undefined;

  /** Takes the place of another one of the same kind and name. */
  add(schema: string, name: string, part: string, object: CatalogObject): void {
    const parts = this.#partsOf(schema, name);
    const known = parts.get(part);
    if (known === undefined) parts.set(part, object);
    else if (!Array.isArray(known)) parts.set(part, known.kind === object.kind ? object : [known, object]);
    else {
      const at = known.findIndex(({ kind }) => kind === object.kind);
      if (at === -1) known.push(object);
      else known[at] = object;
    }
  }

  get(kind: ObjectKind, schema: string, name: string, part: string): CatalogObject | undefined {
    const found = this.#schemas.get(schema)?.get(name)?.get(part);
    if (Array.isArray(found)) return found.find((object) => object.kind === kind);
    return found?.kind === kind ? found : undefined;
  }

  #partsOf(schema: string, name: string): Parts {
    if (this.#last?.schema === schema && this.#last.name === name) return this.#last.parts;
    const relations = this.#schemas.get(schema) ?? new Map<string, Parts>();
    this.#schemas.set(schema, relations);
    const parts = relations.get(name) ?? new Map<string, CatalogObject | CatalogObject[]>();
    relations.set(name, parts);
    this.#last = { schema, name, parts };
    return parts;
  }
}
