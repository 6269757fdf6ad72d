CREATE TABLE member (no int, name text, town text);
CREATE VIEW members AS SELECT no, name, town FROM member GROUP BY no, name, town;
