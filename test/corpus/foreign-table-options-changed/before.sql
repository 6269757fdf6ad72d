CREATE FOREIGN DATA WRAPPER files;
CREATE SERVER archive FOREIGN DATA WRAPPER files;
CREATE FOREIGN TABLE lines (id integer OPTIONS (a '1', b '2')) SERVER archive OPTIONS (path '/tmp/x', mode 'r');
