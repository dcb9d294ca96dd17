-- +goose Up
-- Refusals of every kind are counted, not of sign-ins alone.

ALTER TABLE audit_refusals ADD COLUMN action text NOT NULL DEFAULT 'session.sign_in_refused';
ALTER TABLE audit_refusals ALTER COLUMN action DROP DEFAULT;
ALTER TABLE audit_refusals RENAME COLUMN account TO object_id;
ALTER TABLE audit_refusals DROP CONSTRAINT audit_refusals_pkey;
ALTER TABLE audit_refusals ADD PRIMARY KEY (org_id, minute, source, action, object_id);
