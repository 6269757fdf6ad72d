CREATE TABLE keep (id integer);
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id bigint PRIMARY KEY);
