CREATE DOMAIN size AS int;
CREATE DOMAIN shoe_size AS size NOT NULL;
CREATE TABLE shoes (size shoe_size, others size[]);
INSERT INTO shoes VALUES (42, '{43}');
