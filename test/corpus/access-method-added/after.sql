CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
CREATE ACCESS METHOD tree2 TYPE INDEX HANDLER bthandler;
COMMENT ON ACCESS METHOD heap2 IS 'the same again';
CREATE TABLE items (id bigint) USING heap2;
CREATE TABLE more (id bigint) USING heap2;
