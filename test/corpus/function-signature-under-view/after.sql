CREATE TABLE parcel (grams int);
CREATE FUNCTION kilos(grams bigint) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT grams / 1000.0';
CREATE VIEW parcels AS SELECT kilos(grams::bigint) AS kilos FROM parcel;
