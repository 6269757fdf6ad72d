CREATE TABLE station (sensor int, day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE reading_2024 PARTITION OF station FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE UNIQUE INDEX station_once ON station (sensor, day);
ALTER TABLE station ADD CONSTRAINT station_seen FOREIGN KEY (sensor, day) REFERENCES station (sensor, day);
