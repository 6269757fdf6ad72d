CREATE TABLE sale (id bigint, at date NOT NULL, region text, pieces int DEFAULT 1 CHECK (pieces > 0)) PARTITION BY LIST (lower(region));
CREATE TABLE sale_north PARTITION OF sale FOR VALUES IN ('n', 'nw') PARTITION BY RANGE (at);
CREATE TABLE sale_north_2024 PARTITION OF sale_north FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE sale_north_rest PARTITION OF sale_north DEFAULT;
CREATE INDEX sale_by_id ON sale (id);
