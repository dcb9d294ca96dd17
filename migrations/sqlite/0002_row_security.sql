-- +goose Up
-- SQLite has no roles and no row-level security: every statement carries its
-- org already. What PostgreSQL withholds by grant, a trigger refuses here.

-- +goose StatementBegin
CREATE TRIGGER audit_event_never_changed BEFORE UPDATE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_event_never_deleted BEFORE DELETE ON audit_events
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd

-- REPLACE deletes without asking the trigger above.
-- +goose StatementBegin
CREATE TRIGGER audit_event_never_replaced BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd
