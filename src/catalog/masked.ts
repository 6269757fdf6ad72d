// What stands where a value that may be a secret is not read.

/** No value of an option that may hold a password leaves the server; this stands for it, in the catalog and in SQL. */
export const MASKED = "not-read-set-it";
