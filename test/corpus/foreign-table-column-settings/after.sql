CREATE FOREIGN DATA WRAPPER files;
CREATE SERVER archive FOREIGN DATA WRAPPER files;
CREATE FOREIGN TABLE lines (id integer, body text, size integer OPTIONS (name 'bytes')) SERVER archive;
ALTER FOREIGN TABLE lines ALTER COLUMN id SET (n_distinct = -1);
ALTER FOREIGN TABLE lines ALTER COLUMN size SET (n_distinct = 100);
