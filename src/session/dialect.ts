// Drizzle's PostgreSQL dialect: turns `sql` into text and parameters.
import { PgDialect } from "drizzle-orm/pg-core";

export const dialect = new PgDialect();
