-- +goose Up
-- A segment's events leave their table step by step, each of a few places of
-- the chain: as one, fifty thousand deletions held back what cleans up behind
-- every other transaction. What is let go is the same, and asked for the same.
DROP FUNCTION millwright_archive(text, bigint);
-- +goose StatementBegin
CREATE FUNCTION millwright_archive(of_org text, up_to bigint, from_sequence bigint, to_sequence bigint) RETURNS bigint
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
    WHERE l.org_id = of_org AND l.sequence BETWEEN greatest(s.first_sequence, from_sequence) AND least(s.last_sequence, to_sequence) AND e.id = l.event_id AND e.org_id = of_org;
  GET DIAGNOSTICS moved = ROW_COUNT;
  RETURN moved;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION millwright_archive(text, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION millwright_archive(text, bigint, bigint, bigint) TO millwright_app;
