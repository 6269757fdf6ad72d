// Privileges beyond a level, with the REVOKE of each.
import type { Catalog } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { allowedDefaults, allowedPrivileges, type AccessLevel } from "./levels.ts";
import type { Securable } from "./securables.ts";

export interface Excess {
  readonly kind: "privilege" | "grant option" | "exposed partition" | "record" | "default";
  readonly grantee: string;
  /** Only what the owner granted is taken back by the owner; for a default the role it was set for. */
  readonly isByOwner: boolean;
  readonly grantor: string;
  /** Sorted. */
  readonly privileges: readonly string[];
  /** For people: `shop.orders`, `shop.orders (total)`, `tables made by deploy in shop`. */
  readonly object: string;
  /** What the object is: `table`, `schema`, `database`, `default`. */
  readonly on: string;
  readonly schema: string | undefined;
  readonly revoke: string;
  readonly grantAgain: string;
}

interface Held {
  readonly grantee: string;
  readonly grantor: string;
  readonly privileges: readonly string[];
  readonly grantable: readonly string[];
}

/** What grantees have beyond the level, on objects and as default privileges. What an owner has on its own is not among it. */
export function excessPrivileges(
  catalog: Catalog,
  securables: readonly Securable[],
  grantees: ReadonlySet<string>,
  level: AccessLevel | "public",
): readonly Excess[] {
  const found: Excess[] = [];
  const add = (held: Held, of: Place, allowed: readonly string[]): void => {
    if (!grantees.has(held.grantee) || held.grantee === of.owner) return;
    const beyond = held.privileges.filter((privilege) => !allowed.includes(privilege));
    const passable = held.grantable.filter((privilege) => allowed.includes(privilege));
    if (beyond.length > 0) found.push(excess(of, held, beyond, false));
    if (passable.length > 0) found.push(excess(of, held, passable, true));
  };
  for (const securable of securables) {
    const { kind, nature, word, sqlName, name, owner, schema } = securable;
    const special = nature === "exposed partition" || nature === "record" ? nature : "privilege";
    const place: Place = { kind: special, target: `${word} ${sqlName}`, object: name, on: kind, owner, schema };
    const allowed = allowedPrivileges(level, securable);
    for (const grant of securable.grants) add(grant, place, allowed);
    for (const grant of securable.columnGrants)
      add(grant, { ...place, column: grant.column, object: `${name} (${grant.column})` }, allowed);
  }
  for (const grant of catalog.grants) {
    const place = placeBeside(grant, catalog.databaseName);
    if (place !== undefined) add(grant, place, place.allowed);
    if (grant.objectKind !== "default") continue;
    const inSchema = grant.schema === undefined ? "" : ` IN SCHEMA ${identifier(grant.schema)}`;
    add(
      grant,
      {
        kind: "default",
        defaults: `ALTER DEFAULT PRIVILEGES FOR ROLE ${identifier(grant.grantor)}${inSchema}`,
        target: grant.object.toUpperCase(),
        object: `${grant.object} made by ${grant.grantor}${grant.schema === undefined ? "" : ` in ${grant.schema}`}`,
        on: "default",
        owner: grant.grantor,
        schema: grant.schema,
      },
      allowedDefaults(level, grant.object),
    );
  }
  return found;
}

interface Place {
  readonly kind: Excess["kind"];
  readonly target: string;
  readonly column?: string;
  readonly defaults?: string;
  readonly object: string;
  readonly on: string;
  readonly owner: string;
  readonly schema: string | undefined;
}

/** What has no schema. A parameter of the server is set, and a source of foreign rows used, by those who look after the server. */
function placeBeside(
  { objectKind, object, grantor }: Catalog["grants"][number],
  databaseName: string,
): (Place & { readonly allowed: readonly string[] }) | undefined {
  const place = { kind: "privilege", object, on: objectKind, schema: undefined, owner: grantor } as const;
  if (objectKind === "database")
    return { ...place, target: `DATABASE ${identifier(databaseName)}`, allowed: ["CONNECT", "TEMPORARY"] };
  if (objectKind === "parameter") return { ...place, target: `PARAMETER ${object}`, allowed: [] };
  if (objectKind === "foreign data wrapper" || objectKind === "foreign server")
    return {
      ...place,
      target: `${objectKind === "foreign server" ? "FOREIGN SERVER" : "FOREIGN DATA WRAPPER"} ${identifier(object)}`,
      allowed: [],
    };
  return undefined;
}

function excess(of: Place, held: Held, privileges: readonly string[], isOption: boolean): Excess {
  const who = held.grantee === "public" ? "PUBLIC" : identifier(held.grantee);
  const columns = of.column === undefined ? "" : ` (${identifier(of.column)})`;
  const list = privileges.map((privilege) => `${privilege}${columns}`).join(", ");
  const start = of.defaults === undefined ? "" : `${of.defaults} `;
  const passable = isOption || held.grantable.some((privilege) => privileges.includes(privilege));
  return {
    kind: isOption ? "grant option" : of.kind,
    grantee: held.grantee,
    grantor: held.grantor,
    isByOwner: held.grantor === of.owner,
    privileges,
    object: of.object,
    on: of.on,
    schema: of.schema,
    revoke: `${start}REVOKE ${isOption ? "GRANT OPTION FOR " : ""}${list} ON ${of.target} FROM ${who}`,
    grantAgain: `${start}GRANT ${list} ON ${of.target} TO ${who}${passable ? " WITH GRANT OPTION" : ""}`,
  };
}
