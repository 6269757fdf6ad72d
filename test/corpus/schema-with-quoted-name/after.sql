CREATE SCHEMA "My ""odd"" schema";
CREATE TABLE "My ""odd"" schema"."Table.1" ("Column ✓" integer, "select" text DEFAULT 'it''s');
