CREATE TABLE reading (sensor int, day date NOT NULL) PARTITION BY RANGE (day);
CREATE INDEX reading_by_sensor ON reading (sensor);
CREATE TABLE reading_2024 PARTITION OF reading FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX reading_2024_mine ON reading_2024 (sensor);
