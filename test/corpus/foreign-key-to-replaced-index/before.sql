CREATE TABLE shops (code text NOT NULL);
CREATE UNIQUE INDEX shops_code ON shops (code);
CREATE TABLE visits (shop text REFERENCES shops (code));
CREATE TABLE sales (shop text);
INSERT INTO shops VALUES ('a'), ('b');
INSERT INTO visits VALUES ('a');
INSERT INTO sales VALUES ('b');
