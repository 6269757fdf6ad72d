// What publications say of a table or a column that goes: it is taken out before, and is in again when it is back.
import type { Catalog, Table } from "../../catalog/index.ts";
import { InvalidInputError } from "../../postgres/index.ts";
import { mentions } from "../batch-state.ts";

type PublishedTable = Catalog["publications"][number]["tables"][number];

export interface Unpublished {
  readonly catalog: Catalog;
  /** Publications that name it. */
  readonly names: readonly string[];
}

/** Tables that publications name; those that are published with their schema, or with all, leave and come by themselves. */
export function withoutPublished(catalog: Catalog, tables: readonly Table[]): Unpublished {
  return changed(catalog, tables, () => []);
}

/** @throws InvalidInputError when a publication has no other column of the table, or chooses rows by this one */
export function withoutPublishedColumn(catalog: Catalog, tables: readonly Table[], column: string): Unpublished {
  return changed(catalog, tables, (published, publication) => {
    if (published.where !== undefined && mentions(published.where, column)) {
      throw new InvalidInputError(
        `the publication ${publication} chooses rows of ${published.schema}.${published.name} by ${column}`,
        {
          hint: "which rows it sends without the column is for a person to say: change its WHERE in a migration before",
        },
      );
    }
    if (published.columns?.includes(column) !== true) return [published];
    const columns = published.columns.filter((name) => name !== column);
    if (columns.length > 0) return [{ ...published, columns }];
    throw new InvalidInputError(
      `the publication ${publication} sends no other column of ${published.schema}.${published.name}`,
      {
        hint: "take the table out of it in a migration before",
      },
    );
  });
}

export function publishedNotice({ names }: Unpublished, what: string): readonly string[] {
  if (names.length === 0) return [];
  return [
    `${names.join(", ")} no longer publishes ${what} until it is back: subscribers then need ALTER SUBSCRIPTION … REFRESH PUBLICATION`,
  ];
}

function changed(
  catalog: Catalog,
  tables: readonly Table[],
  change: (published: PublishedTable, publication: string) => readonly PublishedTable[],
): Unpublished {
  const names: string[] = [];
  const publications = catalog.publications.map((publication) => {
    const left = publication.tables.flatMap((published) =>
      tables.some(({ schema, name }) => schema === published.schema && name === published.name)
        ? change(published, publication.name)
        : [published],
    );
    const isSame =
      left.length === publication.tables.length && left.every((each, at) => each === publication.tables[at]);
    if (isSame) return publication;
    names.push(publication.name);
    return { ...publication, tables: left };
  });
  return { catalog: names.length === 0 ? catalog : { ...catalog, publications }, names };
}
