CREATE TABLE reading (sensor int NOT NULL, day date NOT NULL, value numeric) PARTITION BY RANGE (day);
CREATE TABLE reading_2024 PARTITION OF reading FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE reading_2025 PARTITION OF reading FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO reading VALUES (1, '2024-03-01', 4.5), (2, '2025-03-01', 5.5);
CREATE INDEX reading_by_value ON ONLY reading (value);
CREATE INDEX reading_2024_by_value ON reading_2024 (value);
ALTER INDEX reading_by_value ATTACH PARTITION reading_2024_by_value;
CREATE INDEX reading_2025_by_value ON reading_2025 (value);
ALTER INDEX reading_by_value ATTACH PARTITION reading_2025_by_value;
