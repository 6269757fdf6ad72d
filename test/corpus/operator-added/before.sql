CREATE TABLE boxes (id int, width int, height int);
