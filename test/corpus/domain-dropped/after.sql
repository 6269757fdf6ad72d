CREATE TABLE s (a text);
