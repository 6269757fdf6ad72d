// Histories of migrations as tests of verifying give them, and reports of them in brief.
import type { AdoptedMigration, MigrationScript, VerifyReport } from "../../../src/migrate/index.ts";

export interface Given {
  readonly up: string;
  readonly down?: string;
  readonly irreversible?: string;
  readonly transaction?: MigrationScript["transaction"];
}

export function history(given: readonly Given[]): readonly AdoptedMigration[] {
  return given.map(({ up, down, irreversible, transaction = "file" }, index) => {
    const version = String(index + 1);
    const script = (sql: string, kind: string): MigrationScript => ({
      file: `${version}.${kind}.sql`,
      text: sql,
      sql,
      transaction,
    });
    return {
      version,
      name: `m${version}`,
      tool: "golang-migrate",
      up: script(up, "up"),
      down: down === undefined ? undefined : script(down, "down"),
      irreversible,
    };
  });
}

/** Each verdict with its findings. */
export const brief = ({ migrations }: VerifyReport) =>
  migrations.map(({ verdict, findings }) => [verdict, ...findings.map(({ rule, severity }) => `${rule} ${severity}`)]);
