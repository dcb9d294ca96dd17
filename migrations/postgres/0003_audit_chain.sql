-- +goose Up
-- A link per event, in the order in which the events became visible: each
-- hash covers the one before it and the event's own text. No foreign key leads
-- to the event: where one was removed, its link stays and tells.

CREATE TABLE audit_links (
  org_id text NOT NULL,
  sequence bigint NOT NULL CONSTRAINT link_sequence_from_one CHECK (sequence >= 1),
  event_id text NOT NULL CONSTRAINT link_event_once UNIQUE,
  previous_hash text NOT NULL,
  hash text NOT NULL,
  PRIMARY KEY (org_id, sequence)
);

CREATE TABLE audit_checkpoints (
  org_id text NOT NULL,
  sequence bigint NOT NULL,
  key_id text NOT NULL,
  hash text NOT NULL,
  at timestamptz NOT NULL,
  signature text NOT NULL,
  PRIMARY KEY (org_id, sequence, key_id)
);

GRANT SELECT, INSERT ON audit_links, audit_checkpoints TO millwright_app;
REVOKE UPDATE, DELETE, TRUNCATE ON audit_links, audit_checkpoints FROM millwright_app;

ALTER TABLE audit_links ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_links USING (millwright_sees(org_id));
ALTER TABLE audit_checkpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_checkpoints USING (millwright_sees(org_id));
