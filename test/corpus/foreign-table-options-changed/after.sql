CREATE FOREIGN DATA WRAPPER files;
CREATE SERVER archive FOREIGN DATA WRAPPER files;
CREATE FOREIGN TABLE lines (id integer OPTIONS (b '3', c '4'), body text) SERVER archive OPTIONS (path '/tmp/y', size '1');
