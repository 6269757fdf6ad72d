-- Renaming a column leaves its NOT NULL the name it had; the next column of that name takes it.
CREATE TABLE workout (
  id bigint PRIMARY KEY,
  logged_at timestamptz NOT NULL DEFAULT now(),
  note text
);
