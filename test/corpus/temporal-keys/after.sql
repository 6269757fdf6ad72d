CREATE EXTENSION btree_gist;
CREATE TABLE rooms (id int, during daterange, note text, PRIMARY KEY (id, during WITHOUT OVERLAPS),
  CONSTRAINT rooms_note_key UNIQUE (note, during WITHOUT OVERLAPS));
CREATE TABLE stays (room int, during daterange, FOREIGN KEY (room, PERIOD during) REFERENCES rooms (id, PERIOD during));
