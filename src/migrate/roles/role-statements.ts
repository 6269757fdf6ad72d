// The statements that make a role and let it go again. Roles belong to the whole server, so both look at what is there when they run:
// another database may have made the role, and may still use it.
import { dollarQuoted, identifier, literal } from "../../postgres/index.ts";

/** Makes a group role where there is none, and refuses one that may do more than a group role. */
export function createRole(name: string, options: { readonly joinsRunner: boolean }): string {
  const text = literal(name);
  // Who is no superuser may act for a role that it made only as its member.
  const join = options.joinsRunner
    ? `
    IF NOT pg_catalog.pg_has_role(current_user, ${text}, 'USAGE') THEN
      GRANT ${identifier(name)} TO CURRENT_USER;
    END IF;`
    : "";
  return block(`BEGIN
  -- Roles belong to the whole server: another database may have made this one already.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = ${text}) THEN
    CREATE ROLE ${identifier(name)} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
    -- The way back drops a role with this comment only.
    EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', ${text}, ${MARK});${join}
  ELSIF EXISTS (
    SELECT FROM pg_catalog.pg_roles AS r
    WHERE r.rolname = ${text} AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication)
  ) THEN
    RAISE EXCEPTION USING
      MESSAGE = pg_catalog.format('the role %I exists, and is superuser, bypasses row-level security, makes roles or replicates', ${text}),
      HINT = pg_catalog.format('run ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOREPLICATION, or choose another name', ${text});
  END IF;
END`);
}

/** Drops a role that this database made, unless somebody still is its member or something is left that depends on it. */
export function dropRole(name: string): string {
  const text = literal(name);
  return block(`DECLARE
  found pg_catalog.oid := (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = ${text});
BEGIN
  IF pg_catalog.shobj_description(found, 'pg_authid') IS DISTINCT FROM ${MARK} THEN
    RAISE NOTICE USING MESSAGE = pg_catalog.format('the role %I stays: this database did not make it', ${text});
  ELSIF ${text} IN (current_user, session_user) OR EXISTS (
    SELECT FROM pg_catalog.pg_auth_members AS m
    JOIN pg_catalog.pg_roles AS r ON r.oid = m.member
    WHERE m.roleid = found AND r.rolname NOT IN (current_user, session_user)
  ) THEN
    RAISE NOTICE USING MESSAGE = pg_catalog.format('the role %I stays: there are members of it', ${text});
  ELSIF EXISTS (
    SELECT FROM pg_catalog.pg_shdepend AS s
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = found
  ) THEN
    RAISE NOTICE USING MESSAGE = pg_catalog.format('the role %I stays: it owns something or is granted something elsewhere', ${text});
  ELSE
    DROP ROLE ${identifier(name)};
  END IF;
END`);
}

const MARK = `'made by the migrations of the database ' || pg_catalog.current_database()`;

/** A DO block around a body that may hold any name. */
export function block(body: string): string {
  return `DO ${dollarQuoted(`\n${body}\n`)}`;
}
