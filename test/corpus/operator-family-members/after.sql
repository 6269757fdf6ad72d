CREATE OPERATOR FAMILY numbers USING btree;
ALTER OPERATOR FAMILY numbers USING btree ADD OPERATOR 1 < (int4, int8), OPERATOR 5 > (int4, int8),
  FUNCTION 1 (int4, int8) btint48cmp(int4, int8), FUNCTION 1 (int8, int4) btint84cmp(int8, int4);
COMMENT ON OPERATOR FAMILY numbers USING btree IS 'of two sizes';
