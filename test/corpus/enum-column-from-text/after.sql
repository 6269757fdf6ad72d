CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE s (m mood DEFAULT 'ok');
