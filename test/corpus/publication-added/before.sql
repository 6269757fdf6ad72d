CREATE TABLE orders (id int PRIMARY KEY, state text, total int);
CREATE TABLE lines (id int PRIMARY KEY, at date) PARTITION BY RANGE (id);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (9);
CREATE SCHEMA other;
