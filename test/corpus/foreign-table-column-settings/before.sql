CREATE FOREIGN DATA WRAPPER files;
CREATE SERVER archive FOREIGN DATA WRAPPER files;
CREATE FOREIGN TABLE lines (id integer, body text OPTIONS (name 'text')) SERVER archive;
ALTER FOREIGN TABLE lines ALTER COLUMN body SET (n_distinct = 7);
