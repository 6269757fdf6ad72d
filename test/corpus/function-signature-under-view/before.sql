CREATE TABLE parcel (grams int);
INSERT INTO parcel VALUES (1200), (80);
CREATE FUNCTION kilos(grams int) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT grams / 1000.0';
CREATE VIEW parcels AS SELECT kilos(grams) AS kilos FROM parcel;
