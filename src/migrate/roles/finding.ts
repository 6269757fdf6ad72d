// What is found about roles. Data; the command line makes text of it.

export type RoleRule =
  | "role-attribute"
  | "role-membership"
  | "role-may-grant"
  | "role-owns"
  | "role-privilege"
  | "role-creates"
  | "role-writes-history"
  | "role-reads-partition"
  | "role-default-privilege"
  | "role-runs-definer"
  | "partition-defaults"
  | "not-owned-by-migrator"
  | "grant-of-another";

export type RoleSeverity = "error" | "warning" | "info";

export interface RoleFinding {
  readonly rule: RoleRule;
  readonly severity: RoleSeverity;
  /** The role that was looked at. */
  readonly role: string;
  /** How it comes to that: the role itself, then the roles it is a member of; the last one holds it, or `public`. */
  readonly via: readonly string[];
  /** One sentence: what was seen, with names. */
  readonly message: string;
  /** All objects it is about, as people write them; empty when it is about the role itself. */
  readonly objects: readonly string[];
  /** The remedy; `sql` runs as it stands, `undefined` when a person has to decide. */
  readonly fix: { readonly description: string; readonly sql: string | undefined };
}

export interface RoleReport {
  readonly role: string;
  readonly findings: readonly RoleFinding[];
  readonly counts: Readonly<Record<RoleSeverity, number>>;
  /** What was looked at. */
  readonly examined: { readonly roles: number; readonly objects: number; readonly grants: number };
}

const ORDER: readonly RoleSeverity[] = ["error", "warning", "info"];

/** The worst first, else as they were found. */
export function bySeverity(findings: readonly RoleFinding[]): readonly RoleFinding[] {
  return findings.toSorted((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity));
}

export function countFindings(findings: readonly RoleFinding[]): RoleReport["counts"] {
  const count = (severity: RoleSeverity): number => findings.filter((each) => each.severity === severity).length;
  return { error: count("error"), warning: count("warning"), info: count("info") };
}

/** The first names of a list, and how many more there are. */
export function named(objects: readonly string[]): string {
  const most = 5;
  const more = objects.length > most ? ` and ${objects.length - most} more` : "";
  return `${objects.slice(0, most).join(", ")}${more}`;
}

/** Who has something, and how: `agent`, `agent (through app_writer)`, `agent (as everybody)`. */
export function reachedThrough(via: readonly string[]): string {
  const [role = "", ...groups] = via;
  if (groups.length === 0) return role;
  return groups.at(-1) === "public" ? `${role} (as everybody)` : `${role} (through ${groups.join(", ")})`;
}
