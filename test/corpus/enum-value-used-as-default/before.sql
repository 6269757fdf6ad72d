CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE s (id integer, m mood DEFAULT 'ok', ms mood[]);
INSERT INTO s VALUES (1, 'ok', '{ok}');
