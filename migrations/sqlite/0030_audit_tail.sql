-- +goose Up
-- What an org's history has behind its last block: its words with their
-- places, in one row, so that a search need not look through the events.
CREATE TABLE audit_tails (
  org_id text NOT NULL PRIMARY KEY,
  block integer NOT NULL,
  events integer NOT NULL,
  low_id text NOT NULL,
  high_id text NOT NULL,
  words blob NOT NULL
);

-- A rare word is read from its index alone.
DROP INDEX audit_word_by_word;
CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block, places);
