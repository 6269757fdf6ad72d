CREATE TABLE thing (id int, label text NOT NULL DEFAULT 'none', weight int, CONSTRAINT thing_id CHECK (id > 0), CONSTRAINT thing_weight CHECK (weight > 0));
CREATE TABLE book (id int, label text NOT NULL DEFAULT 'none', pages int, CONSTRAINT thing_id CHECK (id > 0));
