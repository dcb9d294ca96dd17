-- +goose Up
-- Consoles that several people want: who takes over, who is told to end, how
-- many are open. And what lies in a machine's virtual CD drive.

ALTER TABLE console_tickets ADD COLUMN takeover boolean NOT NULL DEFAULT false;
ALTER TABLE console_tickets ADD COLUMN resumes text NOT NULL DEFAULT '';

ALTER TABLE console_sessions ADD COLUMN host text NOT NULL DEFAULT '';
ALTER TABLE console_sessions ADD COLUMN asked_end text NOT NULL DEFAULT '';
ALTER TABLE console_sessions ADD COLUMN asked_by text NOT NULL DEFAULT '';
CREATE INDEX console_open_by_machine ON console_sessions (machine_id) WHERE closed_at IS NULL;
CREATE INDEX console_open_by_node ON console_sessions (node) WHERE closed_at IS NULL;

-- How many consoles a user, a machine and an ESXi host have open, in whichever
-- org: taken and given back with the console itself. It holds counts and ids
-- only, so that an org's own transaction may count.
CREATE TABLE console_loads (
  kind text NOT NULL CONSTRAINT console_load_kind_known CHECK (kind IN ('user', 'machine', 'host')),
  key text NOT NULL,
  used bigint NOT NULL CONSTRAINT console_load_not_negative CHECK (used >= 0),
  PRIMARY KEY (kind, key)
);

-- The ISO file that a task of ours has put in, as its datastore names it.
ALTER TABLE machines ADD COLUMN media text NOT NULL DEFAULT '';
