// A finding: what a rule saw, why it matters, and the remedy. Data; text is made by the CLI, MCP and HTTP.

export type Severity = "error" | "warning" | "info";

/** What a finding is about. `name` is the object's own name; `table` is set for parts of a table. */
export interface Subject {
  readonly kind:
    | "table"
    | "column"
    | "constraint"
    | "index"
    | "policy"
    | "view"
    | "function"
    | "sequence"
    | "schema"
    | "type"
    | "trigger";
  readonly schema: string;
  readonly table?: string | undefined;
  readonly name: string;
}

/** What a rule saw in one place, why it matters, and the remedy. */
export interface Finding {
  /** The rule's id, e.g. `foreign-key-without-index`. */
  readonly rule: string;
  readonly severity: Severity;
  readonly subject: Subject;
  /** Columns the finding names, in their order; empty when it is about the whole. */
  readonly columns: readonly string[];
  /** One sentence: what was seen, with names. */
  readonly message: string;
  /** What was looked at to say so, e.g. "the 3 indexes of tasks.todos". */
  readonly examined: string;
  /** Why it matters. */
  readonly why: string;
  /** The remedy. `sql` runs as it stands; `undefined` when a person has to decide. */
  readonly fix: { readonly description: string; readonly sql: string | undefined };
  /** Page of the rule, e.g. `docs/rules/foreign-key-without-index.md`. */
  readonly documentation: string;
}
