-- +goose Up
-- Refusals of every kind are counted, not of sign-ins alone.

CREATE TABLE audit_refusals_of_all (
  org_id text NOT NULL,
  source text NOT NULL,
  action text NOT NULL,
  object_id text NOT NULL,
  minute timestamp NOT NULL,
  tries integer NOT NULL,
  names text NOT NULL,
  PRIMARY KEY (org_id, minute, source, action, object_id)
);
INSERT INTO audit_refusals_of_all (org_id, source, action, object_id, minute, tries, names)
SELECT org_id, source, 'session.sign_in_refused', account, minute, tries, names FROM audit_refusals;
DROP TABLE audit_refusals;
ALTER TABLE audit_refusals_of_all RENAME TO audit_refusals;
