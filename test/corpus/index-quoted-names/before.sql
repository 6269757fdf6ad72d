CREATE TABLE "S" ("A b" text);
