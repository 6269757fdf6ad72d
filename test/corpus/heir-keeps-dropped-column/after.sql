CREATE TABLE thing (id integer, label text);
CREATE TABLE book (pages integer, weight integer) INHERITS (thing);
CREATE TABLE novel (author text) INHERITS (book);
CREATE TABLE tool (material text) INHERITS (thing);
INSERT INTO thing VALUES (1, 'one');
INSERT INTO book VALUES (2, 'two', 200, 20);
INSERT INTO novel VALUES (3, 'three', 300, 30, 'me');
INSERT INTO tool VALUES (4, 'four', 'iron');
