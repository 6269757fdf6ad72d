CREATE OPERATOR FAMILY numbers USING btree;
CREATE OPERATOR FAMILY gone USING hash;
ALTER OPERATOR FAMILY numbers USING btree ADD OPERATOR 1 < (int4, int8), OPERATOR 3 = (int4, int8),
  FUNCTION 1 (int4, int8) btint48cmp(int4, int8);
