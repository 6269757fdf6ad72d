CREATE TABLE orders (id integer PRIMARY KEY, state varchar(10), kind char(3), note text);
INSERT INTO orders VALUES (1, 'new', 'abc', 'x'), (2, 'sent', 'abd', 'y');
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
