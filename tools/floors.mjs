// The floors of src/: a folder may import from the folders listed for it, and only through their index.ts.
// "*" = every folder. A folder that is not listed here is an error: give it a floor first.
export const floors = {
  logging: [],
  config: [],
  postgres: ["logging"],
  catalog: ["postgres"],
  session: ["postgres"],
  migrate: ["catalog", "postgres"],
  advise: ["catalog", "postgres"],
  platform: ["session", "postgres"],
  server: ["platform", "session", "catalog", "advise", "migrate", "postgres", "config", "logging"],
  cli: ["*"],
};

// Files that may be reached beside a folder's index.ts: what a command needs that starts at once, as a linter in an editor does.
// A folder's index.ts loads everything behind it: drivers, PGlite, zod, the catalog (0.6 s of CPU time together).
export const entries = {
  config: ["nearest.ts"],
  logging: ["redact.ts"],
  migrate: ["linter.ts"],
  postgres: ["errors.ts", "file-fault.ts", "identifier.ts", "literal.ts"],
};
