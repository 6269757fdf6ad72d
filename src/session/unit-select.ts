// `select()` of a unit. Drizzle asks a table six times whether it is something else, each time by walking up its classes: a
// quarter of what building a query costs. Here a table is known when it is seen again; all else is Drizzle's.
import { getTableColumns, sql, Subquery } from "drizzle-orm";
import { PgSelectBase, PgSelectBuilder, PgTable, type PgSession, type SelectedFields } from "drizzle-orm/pg-core";
import { dialect } from "./dialect.ts";

type SelectParts = ConstructorParameters<typeof PgSelectBase<string, SelectedFields, "single">>[0];

/** As far as this file needs to know one. */
interface DrizzleSelect {
  readonly _: { readonly config: { table: unknown } };
  readonly tableName: string | undefined;
  readonly usedTables: ReadonlySet<string>;
}
const DrizzleSelectClass = PgSelectBase as unknown as new (parts: SelectParts) => DrizzleSelect;

/** What the constructor is told a table is: it wants two names of it, and asks a subquery once. Kept from a table's first select. */
const standIns = new WeakMap<PgTable, Subquery>();

class UnitSelect extends DrizzleSelectClass {
  constructor(table: PgTable, parts: SelectParts) {
    super(parts);
    this._.config.table = table;
  }
}

/** The builder that `tx.select(fields)` gives. */
export class UnitSelectBuilder<TFields extends SelectedFields | undefined> extends PgSelectBuilder<TFields> {
  readonly #fields: TFields;
  readonly #session: PgSession;

  constructor(fields: TFields, session: PgSession) {
    super({ fields, session, dialect });
    this.#fields = fields;
    this.#session = session;
  }

  /** What `from()` does for a table; undefined for all else, and for a table that is new. */
  #fromTable(source: unknown): UnitSelect | undefined {
    const table = source instanceof PgTable ? source : undefined;
    const standIn = table === undefined ? undefined : standIns.get(table);
    if (table === undefined || standIn === undefined) return undefined;
    return new UnitSelect(table, {
      table: standIn,
      fields: this.#fields ?? (getTableColumns(table) as SelectedFields),
      isPartialSelect: this.#fields !== undefined,
      session: this.#session,
      dialect,
      withList: [],
      distinct: undefined,
    });
  }

  static {
    // Its type is Drizzle's: a method of this class would have to repeat it.
    const drizzleFrom = Reflect.get(this.prototype, "from") as unknown as (source: unknown) => DrizzleSelect;
    Object.defineProperty(this.prototype, "from", {
      configurable: true,
      writable: true,
      value(this: UnitSelectBuilder<SelectedFields | undefined>, source: unknown): DrizzleSelect {
        const known = this.#fromTable(source);
        if (known !== undefined) return known;
        const select = drizzleFrom.call(this, source);
        if (source instanceof PgTable && select.tableName !== undefined)
          standIns.set(source, new Subquery(sql.empty(), {}, select.tableName, false, [...select.usedTables]));
        return select;
      },
    });
  }
}
