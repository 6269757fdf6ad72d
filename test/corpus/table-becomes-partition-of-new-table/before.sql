CREATE TABLE reading_2024 (sensor int, day date NOT NULL);
CREATE TABLE station (sensor int, day date NOT NULL, UNIQUE (sensor, day));
ALTER TABLE station ADD CONSTRAINT station_seen FOREIGN KEY (sensor, day) REFERENCES station (sensor, day);
CREATE INDEX station_by_day ON station (day);
INSERT INTO reading_2024 VALUES (1, '2024-03-01');
