CREATE TABLE s (id integer, c integer DEFAULT 5);
