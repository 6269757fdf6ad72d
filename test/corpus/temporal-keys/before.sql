CREATE EXTENSION btree_gist;
CREATE TABLE rooms (id int, during daterange, note text);
CREATE TABLE stays (room int, during daterange);
