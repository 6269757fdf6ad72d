// The limit on waiting for a lock that generated files bring along.

/**
 * Whoever waits for a strong lock makes everybody behind it wait: better to fail and be tried again. A limit that is set already stays,
 * as the runner's is, which tries again; this one is for psql and other tools, until the end of the transaction.
 */
export const LOCK_LIMIT_SQL =
  "SELECT pg_catalog.set_config('lock_timeout', '2s', true) WHERE pg_catalog.current_setting('lock_timeout') = '0'";
