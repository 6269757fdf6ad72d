CREATE TABLE notes (id int, topic text, PRIMARY KEY (id, topic)) PARTITION BY LIST (topic);
CREATE TABLE notes_a PARTITION OF notes FOR VALUES IN ('a');
CREATE TABLE notes_sub PARTITION OF notes FOR VALUES IN ('b') PARTITION BY LIST (topic);
CREATE TABLE notes_b PARTITION OF notes_sub FOR VALUES IN ('b');
CREATE TABLE notes_c PARTITION OF notes FOR VALUES IN ('c');
