CREATE TABLE pupil (id int, mark int[], born date[]);
