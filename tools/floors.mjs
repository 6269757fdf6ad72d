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
