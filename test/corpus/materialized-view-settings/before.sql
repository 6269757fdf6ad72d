CREATE MATERIALIZED VIEW totals AS SELECT 1 AS one, 'x'::text AS word;
CREATE INDEX totals_one_idx ON totals (one);
CREATE INDEX totals_word_idx ON totals (word);
ALTER MATERIALIZED VIEW totals ALTER word SET STORAGE external, ALTER one SET (n_distinct = 3);
ALTER MATERIALIZED VIEW totals CLUSTER ON totals_one_idx;
