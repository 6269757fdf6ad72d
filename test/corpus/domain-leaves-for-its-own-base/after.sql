CREATE DOMAIN size AS int CHECK (VALUE > 0);
CREATE TABLE shoes (size size, others size[]);
