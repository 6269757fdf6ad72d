// What the migrator's future objects grant to reader and writer: ALTER DEFAULT PRIVILEGES FOR ROLE, without which it would hold for what
// the one who runs the statement makes.
import type { Catalog } from "../../catalog/index.ts";
import { identifier } from "../../postgres/index.ts";
import { wantedDefaults, type AccessLevel, type DefaultKind } from "./levels.ts";
import type { ThereAndBack } from "./grants.ts";

const KINDS: readonly DefaultKind[] = ["tables", "sequences", "functions", "types"];

/** The defaults that are missing, for each schema. One that holds in all schemas counts. */
export function missingDefaults(
  catalog: Catalog,
  schemas: readonly string[],
  migrator: string,
  grantees: Readonly<Record<AccessLevel, string>>,
): readonly ThereAndBack[] {
  const own = catalog.grants.filter(({ objectKind, grantor }) => objectKind === "default" && grantor === migrator);
  return schemas.flatMap((schema) =>
    (["reader", "writer"] as const).flatMap((level) =>
      KINDS.flatMap((of): readonly ThereAndBack[] => {
        const grantee = grantees[level];
        const held = own
          .filter((each) => each.object === of && each.grantee === grantee && (each.schema ?? schema) === schema)
          .flatMap(({ privileges }) => privileges);
        const missing = wantedDefaults(level)[of].filter((privilege) => !held.includes(privilege));
        if (missing.length === 0) return [];
        const start = `ALTER DEFAULT PRIVILEGES FOR ROLE ${identifier(migrator)} IN SCHEMA ${identifier(schema)}`;
        const on = `${missing.join(", ")} ON ${of.toUpperCase()}`;
        return [
          {
            up: `${start} GRANT ${on} TO ${identifier(grantee)}`,
            down: `${start} REVOKE ${on} FROM ${identifier(grantee)}`,
          },
        ];
      }),
    ),
  );
}
