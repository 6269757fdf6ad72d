CREATE TABLE thing (id int PRIMARY KEY, amount int, label text);
INSERT INTO thing VALUES (1, 2, 'pen');
