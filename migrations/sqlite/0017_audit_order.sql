-- +goose Up
-- An org's events in order. The expression keeps the primary key from being
-- walked in its place: with a hundred orgs writing, the newest events are
-- nearly all other orgs', which the planner can't know.
DROP INDEX audit_by_age;
CREATE INDEX audit_by_age ON audit_events (org_id, (id || ''));

-- Nothing writes segments yet: until something does, nothing may remove events.
DROP TRIGGER audit_event_never_deleted;
-- +goose StatementBegin
CREATE TRIGGER audit_event_never_deleted BEFORE DELETE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd
