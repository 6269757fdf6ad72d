CREATE TYPE mood AS ENUM ('sad', 'ok', 'new');
CREATE TABLE s (id integer, m mood DEFAULT 'new', ms mood[]);
INSERT INTO s VALUES (1, 'ok', '{ok}');
