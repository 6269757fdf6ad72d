CREATE DOMAIN mark AS int NOT NULL CHECK (VALUE BETWEEN 1 AND 6);
CREATE TABLE pupil (id int, marks mark[]);
