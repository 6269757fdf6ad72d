// What a Supabase project has before its first migration, as far as migrations name it: without it hardly one of them applies to an
// empty database. Names, columns and results are Supabase's; what its services do is not there.
import type { Connection } from "../../postgres/index.ts";
import type { AdoptedMigration } from "./folder.ts";

/** Extensions that every project has, in the schema `extensions`. */
export const SUPABASE_EXTENSIONS = ["pgcrypto", "uuid-ossp"] as const;
/** What a session of the migrations begins with. */
export const SUPABASE_SEARCH_PATH = '"$user", public, extensions';

const NAMES_SUPABASE =
  /\bauth"?\."?(?:users\b|(?:email|jwt|role|uid)"?\s*\()|\bstorage"?\."?(?:buckets|objects)\b|\bsupabase_realtime\b/i;
/** The folder brings its own schema of that name. */
const MAKES_AUTH =
  /\bcreate\s+(?:schema\s+"?auth\b|table\s+(?:if\s+not\s+exists\s+)?"?auth"?\."?users\b|(?:or\s+replace\s+)?function\s+"?auth"?\."?uid\b)/i;

/** Whether SQL speaks of what Supabase makes in each of its databases. */
export function namesSupabase(sql: string): boolean {
  return NAMES_SUPABASE.test(sql);
}

/** Whether migrations, of Supabase's tool or of another one, rely on what Supabase makes. */
export function reliesOnSupabase(migrations: readonly AdoptedMigration[]): boolean {
  const isNamed = migrations.some(({ tool, up }) => tool === "supabase" || namesSupabase(up.sql));
  return isNamed && !migrations.some(({ up }) => MAKES_AUTH.test(up.sql));
}

/** The same for SQL files. */
export function needsSupabase(files: readonly { readonly text: string }[]): boolean {
  return files.some(({ text }) => namesSupabase(text)) && !makesSupabase(files);
}

/** Whether SQL brings its own, as a dump of such a database does. */
export function makesSupabase(files: readonly { readonly text: string }[]): boolean {
  return files.some(({ text }) => MAKES_AUTH.test(text));
}

/** Tells that it was made. */
export const SUPABASE_MADE =
  "made for the check, as Supabase has them: the schemas auth, extensions, realtime, storage and vault, and its roles";

/** Makes it in an empty database. @param ownsServer - false: roles are not made, and nothing is granted to those that are missing */
export async function makeSupabase(connection: Connection, ownsServer: boolean): Promise<void> {
  if (ownsServer) await connection.exec(ROLES_SQL);
  await connection.exec(SCHEMAS_SQL);
  await connection.exec(GRANTS_SQL);
}

const ROLES_SQL = `
DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['anon', 'authenticated', 'authenticator', 'dashboard_user', 'service_role', 'supabase_admin',
    'supabase_auth_admin', 'supabase_functions_admin', 'supabase_realtime_admin', 'supabase_storage_admin'] LOOP
    IF to_regrole(wanted) IS NULL THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
    END IF;
  END LOOP;
  ALTER ROLE service_role BYPASSRLS;
  GRANT anon, authenticated, service_role TO authenticator;
END
$$`;

const SCHEMAS_SQL = `
CREATE SCHEMA auth;
CREATE SCHEMA extensions;
CREATE SCHEMA realtime;
CREATE SCHEMA storage;
CREATE SCHEMA vault;

-- A server may lack them: what needs them says so then.
DO $$ BEGIN CREATE EXTENSION pgcrypto SCHEMA extensions; EXCEPTION WHEN OTHERS THEN NULL; END $$;
DO $$ BEGIN CREATE EXTENSION "uuid-ossp" SCHEMA extensions; EXCEPTION WHEN OTHERS THEN NULL; END $$;

CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT (auth.jwt() ->> 'sub')::uuid $$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE AS $$ SELECT auth.jwt() ->> 'role' $$;
CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE AS $$ SELECT auth.jwt() ->> 'email' $$;
CREATE TABLE auth.users (
  instance_id uuid, id uuid PRIMARY KEY, aud varchar(255), role varchar(255), email varchar(255), encrypted_password varchar(255),
  email_confirmed_at timestamptz, invited_at timestamptz, confirmation_token varchar(255), confirmation_sent_at timestamptz,
  recovery_token varchar(255), recovery_sent_at timestamptz, email_change_token_new varchar(255), email_change varchar(255),
  email_change_sent_at timestamptz, last_sign_in_at timestamptz, raw_app_meta_data jsonb, raw_user_meta_data jsonb,
  is_super_admin boolean, created_at timestamptz, updated_at timestamptz, phone text UNIQUE, phone_confirmed_at timestamptz,
  phone_change text, phone_change_token varchar(255), phone_change_sent_at timestamptz,
  confirmed_at timestamptz GENERATED ALWAYS AS (least(email_confirmed_at, phone_confirmed_at)) STORED,
  email_change_token_current varchar(255), email_change_confirm_status smallint, banned_until timestamptz,
  reauthentication_token varchar(255), reauthentication_sent_at timestamptz, is_sso_user boolean NOT NULL DEFAULT false,
  deleted_at timestamptz, is_anonymous boolean NOT NULL DEFAULT false
);
CREATE TABLE auth.identities (
  provider_id text NOT NULL, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE, identity_data jsonb NOT NULL,
  provider text NOT NULL, last_sign_in_at timestamptz, created_at timestamptz, updated_at timestamptz,
  email text GENERATED ALWAYS AS (lower(identity_data ->> 'email')) STORED, id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  UNIQUE (provider_id, provider)
);
CREATE TABLE auth.sessions (
  id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE, created_at timestamptz,
  updated_at timestamptz, factor_id uuid, not_after timestamptz, refreshed_at timestamp, user_agent text, ip inet, tag text
);
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE auth.sessions ENABLE ROW LEVEL SECURITY;

CREATE TABLE storage.buckets (
  id text PRIMARY KEY, name text NOT NULL UNIQUE, owner uuid, created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now(), public boolean DEFAULT false, avif_autodetection boolean DEFAULT false,
  file_size_limit bigint, allowed_mime_types text[], owner_id text
);
CREATE TABLE storage.objects (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), bucket_id text REFERENCES storage.buckets (id), name text, owner uuid,
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), last_accessed_at timestamptz DEFAULT now(),
  metadata jsonb, path_tokens text[] GENERATED ALWAYS AS (string_to_array(name, '/')) STORED, version text, owner_id text,
  user_metadata jsonb, UNIQUE (bucket_id, name)
);
ALTER TABLE storage.buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION storage.foldername(name text) RETURNS text[] LANGUAGE sql IMMUTABLE
  AS $$ SELECT (string_to_array(name, '/'))[1:cardinality(string_to_array(name, '/')) - 1] $$;
CREATE FUNCTION storage.filename(name text) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT (string_to_array(name, '/'))[cardinality(string_to_array(name, '/'))] $$;
CREATE FUNCTION storage.extension(name text) RETURNS text LANGUAGE sql IMMUTABLE
  AS $$ SELECT reverse(split_part(reverse(storage.filename(name)), '.', 1)) $$;

CREATE TABLE realtime.messages (
  topic text NOT NULL, extension text NOT NULL, payload jsonb, event text, private boolean DEFAULT false,
  updated_at timestamp NOT NULL DEFAULT now(), inserted_at timestamp NOT NULL DEFAULT now(),
  id uuid NOT NULL DEFAULT gen_random_uuid(), PRIMARY KEY (id, inserted_at)
);
ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;
CREATE FUNCTION realtime.topic() RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('realtime.topic', true), '') $$;
CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE sql
  AS $$ INSERT INTO realtime.messages (topic, extension, payload, event, private) VALUES ($3, 'broadcast', $1, $2, $4) $$;
CREATE PUBLICATION supabase_realtime;

CREATE TABLE vault.secrets (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text UNIQUE, description text NOT NULL DEFAULT '', secret text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE VIEW vault.decrypted_secrets AS
  SELECT id, name, description, secret, secret AS decrypted_secret, created_at, updated_at FROM vault.secrets;
CREATE FUNCTION vault.create_secret(new_secret text, new_name text DEFAULT NULL, new_description text DEFAULT '') RETURNS uuid
  LANGUAGE sql AS $$ INSERT INTO vault.secrets (secret, name, description) VALUES ($1, $2, $3) RETURNING id $$;`;

/** Everything in public is open to the roles of the API: row security is what guards it. */
const GRANTS_SQL = `
DO $$
DECLARE
  api_role text;
BEGIN
  FOREACH api_role IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
    CONTINUE WHEN to_regrole(api_role) IS NULL;
    EXECUTE format('GRANT USAGE ON SCHEMA public, auth, extensions, realtime, storage TO %I', api_role);
    EXECUTE format('GRANT ALL ON ALL TABLES IN SCHEMA storage TO %I', api_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO %I', api_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO %I', api_role);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON ROUTINES TO %I', api_role);
  END LOOP;
END
$$`;
