CREATE TABLE member (no int, name text, town text, CONSTRAINT member_no PRIMARY KEY (no));
INSERT INTO member VALUES (1, 'Ada', 'Turin'), (2, 'Ben', 'Oslo');
CREATE VIEW members AS SELECT no, name, town FROM member GROUP BY no;
