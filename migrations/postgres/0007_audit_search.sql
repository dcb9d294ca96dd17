-- +goose Up
-- What makes the history findable, and what lets it be archived. All of it is
-- derived from events and links; none of it is written in anybody's way.

-- A block is 512 sealed events that follow one another in an org's chain.
CREATE TABLE audit_blocks (
  org_id text NOT NULL,
  block bigint NOT NULL,
  low_id text COLLATE "C" NOT NULL,
  high_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (org_id, block)
);
CREATE INDEX audit_block_by_high ON audit_blocks (org_id, high_id);
CREATE INDEX audit_block_by_low ON audit_blocks (org_id, low_id);

-- Which of a block's events have a word: by block for what is common, by word
-- for what is rare.
CREATE TABLE audit_words (
  org_id text NOT NULL,
  block bigint NOT NULL,
  word text COLLATE "C" NOT NULL,
  places bytea NOT NULL,
  PRIMARY KEY (org_id, block, word)
);
CREATE INDEX audit_word_by_word ON audit_words (org_id, word, block);

ALTER TABLE audit_blocks ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_blocks USING (millwright_sees(org_id));
ALTER TABLE audit_words ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_words USING (millwright_sees(org_id));

-- Ids are looked up whole. Actions are found by their word.
CREATE INDEX audit_by_request ON audit_events (org_id, request_id, id);
DROP INDEX audit_by_action;

-- Refusals of strangers within a minute, until they are told in one event.
CREATE TABLE audit_refusals (
  org_id text NOT NULL,
  source text NOT NULL,
  account text NOT NULL,
  minute timestamptz NOT NULL,
  tries bigint NOT NULL,
  names text NOT NULL,
  PRIMARY KEY (org_id, source, account, minute)
);
ALTER TABLE audit_refusals ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_refusals USING (millwright_sees(org_id));

-- A segment is a signed file that has what was moved out of the database.
CREATE TABLE audit_segments (
  org_id text NOT NULL,
  first_sequence bigint NOT NULL,
  last_sequence bigint NOT NULL CONSTRAINT segment_not_empty CHECK (last_sequence >= first_sequence),
  hash text NOT NULL,
  file text NOT NULL,
  sha256 text NOT NULL,
  key_id text NOT NULL,
  at timestamptz NOT NULL,
  signature text NOT NULL,
  PRIMARY KEY (org_id, last_sequence),
  CONSTRAINT segment_follows_once UNIQUE (org_id, first_sequence)
);
REVOKE UPDATE, DELETE, TRUNCATE ON audit_segments FROM millwright_app;
ALTER TABLE audit_segments ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_segments USING (millwright_sees(org_id));

-- The one way by which an event leaves its table: covered by a segment that is
-- recorded, follows the one before it, and ends where the chain was signed.
-- The portal may call this, and still has no right to delete.
-- +goose StatementBegin
CREATE FUNCTION millwright_archive(of_org text, up_to bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  s audit_segments;
  moved bigint;
BEGIN
  IF NOT millwright_sees(of_org) THEN
    RAISE EXCEPTION 'another org''s history';
  END IF;
  SELECT * INTO s FROM audit_segments WHERE org_id = of_org AND last_sequence = up_to;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'history is written once: no segment ends at %', up_to;
  END IF;
  IF s.first_sequence > 1 AND NOT EXISTS (SELECT FROM audit_segments WHERE org_id = of_org AND last_sequence = s.first_sequence - 1) THEN
    RAISE EXCEPTION 'history is written once: no segment comes before %', s.first_sequence;
  END IF;
  IF NOT EXISTS (SELECT FROM audit_links l JOIN audit_checkpoints c ON c.org_id = l.org_id AND c.sequence = l.sequence AND c.hash = l.hash
                 WHERE l.org_id = of_org AND l.sequence = up_to AND l.hash = s.hash AND c.key_id = s.key_id) THEN
    RAISE EXCEPTION 'history is written once: the chain was not signed at %', up_to;
  END IF;
  DELETE FROM audit_events e USING audit_links l
    WHERE l.org_id = of_org AND l.sequence BETWEEN s.first_sequence AND s.last_sequence AND e.id = l.event_id AND e.org_id = of_org;
  GET DIAGNOSTICS moved = ROW_COUNT;
  RETURN moved;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION millwright_archive(text, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millwright_archive(text, bigint) TO millwright_app;
