CREATE TABLE notes (id int, topic text) PARTITION BY LIST (topic);
CREATE TABLE notes_a PARTITION OF notes FOR VALUES IN ('a');
CREATE TABLE notes_sub PARTITION OF notes FOR VALUES IN ('b') PARTITION BY LIST (topic);
CREATE TABLE notes_b PARTITION OF notes_sub FOR VALUES IN ('b');
INSERT INTO notes VALUES (1, 'a'), (2, 'b');
