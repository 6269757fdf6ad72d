CREATE TABLE pupil (id int, mark int, born date);
INSERT INTO pupil VALUES (1, NULL, NULL);
