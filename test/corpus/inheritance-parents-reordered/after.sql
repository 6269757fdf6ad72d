CREATE TABLE named (name text);
CREATE TABLE dated (day date, CHECK (day > '2000-01-01'));
CREATE TABLE priced (price numeric);
CREATE TABLE tickets (seat int) INHERITS (dated, priced, named);
