CREATE TABLE named (name text);
CREATE TABLE dated (day date, CHECK (day > '2000-01-01'));
CREATE TABLE priced (price numeric NOT NULL);
CREATE TABLE tickets (seat int) INHERITS (named, dated);
INSERT INTO tickets VALUES ('opera', '2024-05-01', 12);
