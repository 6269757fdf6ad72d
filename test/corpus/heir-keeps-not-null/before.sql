CREATE TABLE thing (id integer NOT NULL, label text NOT NULL, size integer);
CREATE TABLE book (pages integer) INHERITS (thing);
CREATE TABLE tool (material text) INHERITS (thing);
CREATE TABLE reading (day date NOT NULL, sensor integer NOT NULL, amount integer) PARTITION BY LIST (sensor);
CREATE TABLE reading_one PARTITION OF reading FOR VALUES IN (1);
CREATE TABLE reading_two PARTITION OF reading FOR VALUES IN (2);
INSERT INTO book VALUES (1, 'one', 10, 100);
INSERT INTO reading VALUES ('2024-01-01', 1, 5), ('2024-01-02', 2, 6);
