CREATE DOMAIN mood AS text CHECK (VALUE IN ('good', 'bad'));
CREATE TABLE day (mood mood);
INSERT INTO day VALUES ('good');
