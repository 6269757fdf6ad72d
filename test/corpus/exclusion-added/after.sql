CREATE TABLE s (r int4range, CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&) WHERE (NOT isempty(r)));
CREATE TABLE names (id integer, name text, CONSTRAINT names_once EXCLUDE USING btree (lower(name) WITH =, id WITH =) WHERE (name <> ''));
