CREATE TABLE sale (id int, at date NOT NULL, region text) PARTITION BY LIST (lower(region));
CREATE TABLE sale_north PARTITION OF sale FOR VALUES IN ('n') PARTITION BY RANGE (at);
CREATE TABLE sale_north_2024 PARTITION OF sale_north FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO sale VALUES (1, '2024-02-02', 'N');
