CREATE TYPE moods AS ENUM ('good', 'bad');
CREATE DOMAIN mood AS moods;
CREATE TABLE day (mood mood);
