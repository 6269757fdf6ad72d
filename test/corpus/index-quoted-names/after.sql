CREATE TABLE "S" ("A b" text);
CREATE INDEX "My idx" ON "S" ("A b");
ALTER TABLE "S" ADD CONSTRAINT "S key" UNIQUE ("A b");
