// Settings from flags, environment, `.env` and pgsteward.config.*. Only composition roots read them.
import type { ConfigFile } from "./shape.ts";

export { describeFault, type Fault } from "./fault.ts";
export { nearestWord } from "./nearest.ts";
export { CONFIG_FILE_NAMES } from "./config-file.ts";
export { readSettings, type Origin, type ReadSettings, type ReadSettingsOptions, type Settings } from "./settings.ts";
export { DEFAULTS, VARIABLES, type ConfigFile, type SettingKey } from "./shape.ts";

/** Gives a `pgsteward.config.ts` its types: `export default defineConfig({ check: { … } })`. Returns its argument. */
export function defineConfig(config: ConfigFile): ConfigFile {
  return config;
}
