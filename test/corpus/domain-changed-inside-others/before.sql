CREATE DOMAIN grams AS int CHECK (VALUE > 0);
CREATE DOMAIN parcel_grams AS grams CHECK (VALUE < 30000);
CREATE TYPE load AS (weight grams, note text);
CREATE TABLE truck (id int, one parcel_grams, several grams[], whole load);
INSERT INTO truck VALUES (1, 20, '{30,40}', '(50,heavy)');
CREATE VIEW trucks AS SELECT one, (whole).weight FROM truck;
