CREATE TABLE boxes (id int, width int, height int);
CREATE FUNCTION fits(boxes, boxes) RETURNS boolean LANGUAGE sql AS 'SELECT $1.width <= $2.width';
CREATE FUNCTION holds(boxes, boxes) RETURNS boolean LANGUAGE sql AS 'SELECT $1.width >= $2.width';
CREATE OPERATOR <<= (LEFTARG = boxes, RIGHTARG = boxes, FUNCTION = fits, COMMUTATOR = >>=, RESTRICT = scalarltsel);
CREATE OPERATOR >>= (LEFTARG = boxes, RIGHTARG = boxes, FUNCTION = holds, COMMUTATOR = <<=);
CREATE OPERATOR !! (RIGHTARG = bigint, FUNCTION = int8um);
COMMENT ON OPERATOR <<= (boxes, boxes) IS 'fits into';
COMMENT ON OPERATOR !! (NONE, bigint) IS 'the other sign';
CREATE VIEW pairs AS SELECT a.id AS a, b.id AS b FROM boxes AS a JOIN boxes AS b ON a <<= b;
