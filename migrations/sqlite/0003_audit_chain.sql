-- +goose Up
-- A link per event, in the order in which the events became visible: each
-- hash covers the one before it and the event's own text. No foreign key leads
-- to the event: where one was removed, its link stays and tells.

CREATE TABLE audit_links (
  org_id text NOT NULL,
  sequence integer NOT NULL CONSTRAINT link_sequence_from_one CHECK (sequence >= 1),
  event_id text NOT NULL CONSTRAINT link_event_once UNIQUE,
  previous_hash text NOT NULL,
  hash text NOT NULL,
  PRIMARY KEY (org_id, sequence)
);

CREATE TABLE audit_checkpoints (
  org_id text NOT NULL,
  sequence integer NOT NULL,
  key_id text NOT NULL,
  hash text NOT NULL,
  at timestamp NOT NULL,
  signature text NOT NULL,
  PRIMARY KEY (org_id, sequence, key_id)
);

-- +goose StatementBegin
CREATE TRIGGER audit_link_never_changed BEFORE UPDATE ON audit_links
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_link_never_deleted BEFORE DELETE ON audit_links
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_checkpoint_never_changed BEFORE UPDATE ON audit_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_checkpoint_never_deleted BEFORE DELETE ON audit_checkpoints
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd
