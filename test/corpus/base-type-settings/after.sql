CREATE TYPE amount;
CREATE FUNCTION amount_in(cstring) RETURNS amount LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION amount_out(amount) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE FUNCTION amount_send(amount) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'int4send';
CREATE TYPE amount (INPUT = amount_in, OUTPUT = amount_out, INTERNALLENGTH = 4, PASSEDBYVALUE, ALIGNMENT = int4, SEND = amount_send);
CREATE TABLE bills (id int, total amount);
