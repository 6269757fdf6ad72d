// What lies beside a migration file tells what its name and text do not: whose it is, and whether it runs in a transaction.
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { scopeWithoutTransaction, toolOfFile, type MigrationTool, type TransactionScope } from "./tools.ts";

export interface ToldBeside {
  /** `undefined` where the file's own name and marks tell it. */
  readonly tool: MigrationTool | undefined;
  readonly transaction: TransactionScope | undefined;
}

/** sqlx names its files as golang-migrate does; a Cargo.toml in this folder or in the two above it tells which. */
export function isBesideSqlx(folder: string): boolean {
  return ["", "..", "../.."].some((above) => {
    const file = join(folder, above, "Cargo.toml");
    return existsSync(file) && /^\s*(?:\[.*\.)?sqlx\b/m.test(readFileSync(file, "utf8"));
  });
}

/** What a folder tells about its files. */
interface FolderFacts {
  readonly isDrizzle: boolean;
  /** Drizzle 1 has a folder for each migration, as Prisma has. */
  readonly hasSnapshot: boolean;
  readonly tool: MigrationTool | undefined;
  /** Diesel's metadata.toml, or Sourcegraph's metadata.yaml, takes the files of this folder out of the transaction. */
  readonly isWithoutTransaction: boolean;
}

/** Reads each folder once: files come by the hundred. */
export function besideReader(): (file: string, text: string) => ToldBeside {
  const folders = new Map<string, FolderFacts>();
  return (file, text) => {
    const folder = dirname(file);
    const facts = folders.get(folder) ?? factsOf(folder);
    folders.set(folder, facts);
    const own = toolOfFile(file, text);
    if (facts.isDrizzle || (facts.hasSnapshot && own === "prisma")) return { tool: "drizzle", transaction: "batch" };
    const isUntold = own === "plain" || own === "golang-migrate";
    const tool = isUntold && (facts.tool !== "sqlx" || /^\d+_/.test(basename(file))) ? facts.tool : undefined;
    if (facts.isWithoutTransaction) return { tool, transaction: scopeWithoutTransaction(own) };
    const isFlywayAlone = own === "flyway" && textOfFile(`${file}.conf`, /^\s*executeInTransaction\s*=\s*false\b/im);
    return { tool, transaction: isFlywayAlone ? "statement" : undefined };
  };
}

function factsOf(folder: string): FolderFacts {
  const has = (name: string): boolean => existsSync(join(folder, name));
  return {
    isDrizzle: has("meta/_journal.json"),
    hasSnapshot: has("snapshot.json"),
    tool: has("atlas.sum")
      ? "atlas"
      : has("sqitch.plan") || (basename(folder) === "deploy" && has("../sqitch.plan"))
        ? "sqitch"
        : isBesideSqlx(folder)
          ? "sqlx"
          : undefined,
    isWithoutTransaction:
      textOfFile(join(folder, "metadata.toml"), /^\s*run_in_transaction\s*=\s*false\b/m) ||
      textOfFile(join(folder, "metadata.yaml"), /^\s*createIndexConcurrently\s*:\s*true\b/m),
  };
}

function textOfFile(file: string, pattern: RegExp): boolean {
  return existsSync(file) && pattern.test(readFileSync(file, "utf8"));
}
