// Data loss of migrations, in either direction, is confirmed by the name of each migration that loses something.
import type { DataLoss, PlannedMigration } from "../../../migrate/index.ts";
import { InvalidInputError } from "../../../postgres/index.ts";
import { canAsk, confirmByName } from "../../confirm.ts";
import type { CommandContext } from "../../context.ts";

export interface LosingMigration {
  readonly migration: Pick<PlannedMigration, "version" | "name" | "file">;
  readonly losses: readonly DataLoss[];
}

/**
 * Asks for the name of each migration that loses something and is not named; where nobody can be asked, refuses all of them at once.
 *
 * @param confirm - the values of `--confirm`: full names, names, versions or files
 * @throws InvalidInputError when one was not confirmed; the hint has the flag with every name that is missing
 */
export async function confirmLosses(
  context: CommandContext,
  losing: readonly LosingMigration[],
  confirm: readonly string[],
): Promise<void> {
  const open = losing.flatMap(({ migration: { version, name, file }, losses }) => {
    const full = `${version}_${name}`;
    const isNamed = [full, name, version, file].some((word) => confirm.includes(word));
    if (losses.length === 0 || isNamed) return [];
    return [{ full, losses: losses.map(({ line, what }) => `${file}:${line}: ${what}`) }];
  });
  if (open.length === 0) return;
  if (canAsk(context)) {
    for (const { full, losses } of open) await confirmByName(context, full, undefined, losses);
    return;
  }
  throw new InvalidInputError(
    `data will be lost\n${open.flatMap(({ losses }) => losses.map((loss) => `  ${loss}`)).join("\n")}`,
    { hint: `to go on, confirm it by name: --confirm ${open.map(({ full }) => full).join(" ")}` },
  );
}
