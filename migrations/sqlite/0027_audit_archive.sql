-- +goose Up
-- The one way by which an event leaves its table: covered by a segment that is
-- recorded, follows the one before it and ends where the chain was signed.
DROP TRIGGER audit_event_never_deleted;
-- +goose StatementBegin
CREATE TRIGGER audit_event_never_deleted BEFORE DELETE ON audit_events
WHEN NOT EXISTS (
  SELECT 1 FROM audit_links l
  JOIN audit_segments s ON s.org_id = l.org_id AND s.last_sequence >= l.sequence AND s.first_sequence <= l.sequence
  JOIN audit_links e ON e.org_id = s.org_id AND e.sequence = s.last_sequence AND e.hash = s.hash
  JOIN audit_checkpoints c ON c.org_id = s.org_id AND c.sequence = s.last_sequence AND c.hash = s.hash AND c.key_id = s.key_id
  WHERE l.event_id = OLD.id AND l.org_id = OLD.org_id
    AND (s.first_sequence = 1 OR EXISTS (SELECT 1 FROM audit_segments b WHERE b.org_id = s.org_id AND b.last_sequence = s.first_sequence - 1)))
BEGIN
  SELECT RAISE(ABORT, 'history is written once');
END;
-- +goose StatementEnd
