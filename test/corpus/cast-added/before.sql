CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE orders (id int, state state);
