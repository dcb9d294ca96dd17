-- +goose Up
-- What makes the history findable, and what lets it be archived. All of it is
-- derived from events and links; none of it is written in anybody's way.

-- A block is 512 sealed events that follow one another in an org's chain.
CREATE TABLE audit_blocks (
  org_id text NOT NULL,
  block integer NOT NULL,
  low_id text NOT NULL,
  high_id text NOT NULL,
  PRIMARY KEY (org_id, block)
);
CREATE INDEX audit_block_by_high ON audit_blocks (org_id, high_id);
CREATE INDEX audit_block_by_low ON audit_blocks (org_id, low_id);

-- Which of a block's events have a word: by block for what is common, by word
-- for what is rare.
CREATE TABLE audit_words (
  org_id text NOT NULL,
  block integer NOT NULL,
  word text NOT NULL,
  places blob NOT NULL,
  PRIMARY KEY (org_id, block, word)
) WITHOUT ROWID;
CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block);

-- Ids are looked up whole. Actions are found by their word.
CREATE INDEX audit_by_request ON audit_events (org_id, request_id, id);
DROP INDEX audit_by_action;

-- Refusals of strangers within a minute, until they are told in one event.
CREATE TABLE audit_refusals (
  org_id text NOT NULL,
  source text NOT NULL,
  account text NOT NULL,
  minute timestamp NOT NULL,
  tries integer NOT NULL,
  names text NOT NULL,
  PRIMARY KEY (org_id, source, account, minute)
);

-- A segment is a signed file that has what was moved out of the database.
CREATE TABLE audit_segments (
  org_id text NOT NULL,
  first_sequence integer NOT NULL,
  last_sequence integer NOT NULL CONSTRAINT segment_not_empty CHECK (last_sequence >= first_sequence),
  hash text NOT NULL,
  file text NOT NULL,
  sha256 text NOT NULL,
  key_id text NOT NULL,
  at timestamp NOT NULL,
  signature text NOT NULL,
  PRIMARY KEY (org_id, last_sequence),
  CONSTRAINT segment_follows_once UNIQUE (org_id, first_sequence)
);

-- +goose StatementBegin
CREATE TRIGGER audit_segment_never_changed BEFORE UPDATE ON audit_segments
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_segment_never_deleted BEFORE DELETE ON audit_segments
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- The one way by which an event leaves its table: covered by a segment that is
-- recorded and ends where the chain was signed.
DROP TRIGGER audit_event_never_deleted;
-- +goose StatementBegin
CREATE TRIGGER audit_event_never_deleted BEFORE DELETE ON audit_events
WHEN NOT EXISTS (
  SELECT 1 FROM audit_links l
  JOIN audit_segments s ON s.org_id = l.org_id AND s.last_sequence >= l.sequence AND s.first_sequence <= l.sequence
  JOIN audit_links e ON e.org_id = s.org_id AND e.sequence = s.last_sequence AND e.hash = s.hash
  JOIN audit_checkpoints c ON c.org_id = s.org_id AND c.sequence = s.last_sequence AND c.hash = s.hash AND c.key_id = s.key_id
  WHERE l.event_id = OLD.id AND l.org_id = OLD.org_id)
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd
