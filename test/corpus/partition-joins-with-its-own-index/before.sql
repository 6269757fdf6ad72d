CREATE TABLE reading (sensor int, day date NOT NULL) PARTITION BY RANGE (day);
CREATE INDEX reading_by_sensor ON reading (sensor);
CREATE TABLE reading_2024 (sensor int, day date NOT NULL);
CREATE INDEX reading_2024_mine ON reading_2024 (sensor);
INSERT INTO reading_2024 VALUES (1, '2024-03-01');
