CREATE TABLE thing (id integer, label text, size integer, rank integer NOT NULL DEFAULT 1);
CREATE TABLE book (pages integer, id integer NOT NULL) INHERITS (thing);
CREATE TABLE atlas (maps integer, rank integer DEFAULT 2) INHERITS (book);
CREATE TABLE tool (material text, label text NOT NULL) INHERITS (thing);
CREATE TABLE reading (day date, sensor integer, amount integer) PARTITION BY LIST (sensor);
CREATE TABLE reading_one PARTITION OF reading (day NOT NULL) FOR VALUES IN (1);
CREATE TABLE reading_two PARTITION OF reading (sensor NOT NULL) FOR VALUES IN (2);
INSERT INTO book VALUES (1, 'one', 10, 1, 100);
INSERT INTO reading VALUES ('2024-01-01', 1, 5), ('2024-01-02', 2, 6);
