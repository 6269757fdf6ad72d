CREATE TABLE thing (id integer, weight integer, label text);
CREATE TABLE book (pages integer) INHERITS (thing);
CREATE TABLE novel (author text) INHERITS (book);
CREATE TABLE tool (material text) INHERITS (thing);
INSERT INTO thing VALUES (1, 10, 'one');
INSERT INTO book VALUES (2, 20, 'two', 200);
INSERT INTO novel VALUES (3, 30, 'three', 300, 'me');
INSERT INTO tool VALUES (4, 40, 'four', 'iron');
