// The platform's own tables: where their migrations are, a sample, an overview.
import { fileURLToPath } from "node:url";

export { readOverview, type TableOverview } from "./overview.ts";
export { PLATFORM_TABLES, writeSample, type SampleResult } from "./sample.ts";

/** Folder of the platform's numbered SQL migrations; the same place relative to src/ and to dist/. */
export const PLATFORM_MIGRATIONS_FOLDER = fileURLToPath(new URL("../../migrations", import.meta.url));
