CREATE TABLE t (id integer PRIMARY KEY, a integer, b integer, CONSTRAINT key_of_b UNIQUE (b));
INSERT INTO t VALUES (1, 10, 11), (2, 20, 21);
CREATE TABLE u (c integer);
CREATE INDEX y ON t (a);
CREATE INDEX q ON t (id, a);
CREATE INDEX p ON u (c);
CREATE TABLE x (one integer);
CREATE INDEX t_key ON u ((c + 1));
CREATE SEQUENCE z;
