CREATE TABLE booking (seats int4range NOT NULL, during tstzrange NOT NULL,
  CONSTRAINT booking_key PRIMARY KEY (seats, during WITHOUT OVERLAPS));
CREATE TABLE bill (seats int4range NOT NULL, during tstzrange NOT NULL,
  CONSTRAINT bill_of FOREIGN KEY (seats, PERIOD during) REFERENCES booking (seats, PERIOD during));
