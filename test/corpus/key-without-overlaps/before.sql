CREATE TABLE booking (seats int4range NOT NULL, during tstzrange NOT NULL, CONSTRAINT booking_key PRIMARY KEY (seats, during));
CREATE TABLE bill (seats int4range NOT NULL, during tstzrange NOT NULL,
  CONSTRAINT bill_of FOREIGN KEY (seats, during) REFERENCES booking (seats, during));
INSERT INTO booking VALUES ('[1,3)', '[2026-01-01,2026-01-02)'), ('[1,3)', '[2026-01-03,2026-01-04)');
INSERT INTO bill SELECT * FROM booking;
