CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE s (m mood NOT NULL DEFAULT 'ok');
