CREATE DEFAULT CONVERSION old_files FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION old_files IS 'from the archive';
