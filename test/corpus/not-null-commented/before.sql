CREATE TABLE orders (id int NOT NULL, total int);
