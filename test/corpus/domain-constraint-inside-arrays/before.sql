CREATE DOMAIN mark AS int;
CREATE TABLE pupil (id int, marks mark[]);
INSERT INTO pupil VALUES (1, '{1,2}');
