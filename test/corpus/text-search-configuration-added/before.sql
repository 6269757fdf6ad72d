CREATE TABLE texts (id int, body text);
