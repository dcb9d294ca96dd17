-- +goose Up
-- What an org's history has behind its last block: its words with their
-- places, in one row, so that a search need not look through the events.
CREATE TABLE audit_tails (
  org_id text NOT NULL PRIMARY KEY,
  block bigint NOT NULL,
  events bigint NOT NULL,
  low_id text COLLATE "C" NOT NULL,
  high_id text COLLATE "C" NOT NULL,
  words bytea NOT NULL
);
ALTER TABLE audit_tails ALTER COLUMN words SET STORAGE EXTERNAL;
ALTER TABLE audit_tails ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_tails USING (millwright_sees(org_id));

-- A rare word is read from its index alone.
DROP INDEX audit_word_by_word;
CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block) INCLUDE (places);
