CREATE TYPE mood AS ENUM ('awful', 'sad', 'so-so', 'it''s', 'ok');
CREATE TABLE s (id integer, m mood DEFAULT 'ok', ms mood[]);
INSERT INTO s VALUES (1, 'ok', '{ok}');
