CREATE MATERIALIZED VIEW totals AS SELECT 1 AS one, 'x'::text AS word;
CREATE INDEX totals_one_idx ON totals (one);
CREATE INDEX totals_word_idx ON totals (word);
ALTER MATERIALIZED VIEW totals ALTER word SET STATISTICS 7, ALTER word SET COMPRESSION pglz, ALTER one SET (n_distinct_inherited = 3);
ALTER MATERIALIZED VIEW totals CLUSTER ON totals_word_idx;
CREATE MATERIALIZED VIEW more WITH (fillfactor = 70) AS SELECT 'x'::text AS word WITH NO DATA;
ALTER MATERIALIZED VIEW more ALTER word SET STORAGE main;
