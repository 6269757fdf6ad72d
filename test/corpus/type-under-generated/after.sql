CREATE TABLE s (c bigint, d integer GENERATED ALWAYS AS (c * 2) STORED);
