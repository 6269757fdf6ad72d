CREATE TABLE parcel (id int, grams int);
CREATE FUNCTION heavy() RETURNS SETOF parcel LANGUAGE sql STABLE AS 'SELECT * FROM parcel WHERE grams > 1000';
CREATE VIEW heavy_ids AS SELECT id FROM heavy();
