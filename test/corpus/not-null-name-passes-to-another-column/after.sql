CREATE TABLE workout (
  id bigint PRIMARY KEY,
  note text,
  started_at timestamptz CONSTRAINT workout_logged_at_not_null NOT NULL DEFAULT now()
);
