CREATE TYPE size AS (width int, height int);
CREATE TABLE box (id int, size size);
CREATE TABLE crate (id int, size size);
