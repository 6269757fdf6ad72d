CREATE DOMAIN grams AS bigint CHECK (VALUE >= 1);
CREATE DOMAIN parcel_grams AS grams CHECK (VALUE < 30000);
CREATE TYPE load AS (weight grams, note text);
CREATE TABLE truck (id int, one parcel_grams, several grams[], whole load);
CREATE VIEW trucks AS SELECT one, (whole).weight FROM truck;
