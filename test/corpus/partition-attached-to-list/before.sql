CREATE TABLE l (tenant text NOT NULL, n integer) PARTITION BY LIST (tenant);
CREATE TABLE l_a PARTITION OF l FOR VALUES IN ('a');
CREATE TABLE l_x PARTITION OF l DEFAULT;
INSERT INTO l VALUES ('a', 1), ('z', 2);
CREATE TABLE l_bc (tenant text NOT NULL, n integer);
INSERT INTO l_bc VALUES ('b', 1), ('c', 2);
