CREATE TABLE s (r int4range, CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&) WHERE (NOT isempty(r)));
