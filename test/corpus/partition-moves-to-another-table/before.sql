CREATE TABLE reading (sensor int, day date NOT NULL, UNIQUE (sensor, day)) PARTITION BY RANGE (day);
CREATE TABLE reading_2024 PARTITION OF reading (PRIMARY KEY (day)) FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE UNIQUE INDEX one_a_day ON reading (day);
INSERT INTO reading VALUES (1, '2024-03-01');
