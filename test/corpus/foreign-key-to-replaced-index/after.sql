CREATE TABLE shops (code text NOT NULL, CONSTRAINT shops_code_unique UNIQUE (code));
CREATE TABLE visits (shop text REFERENCES shops (code));
CREATE TABLE sales (shop text REFERENCES shops (code));
