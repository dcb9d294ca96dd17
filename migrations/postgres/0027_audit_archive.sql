-- +goose Up
-- The portal may archive: millwright_archive removes events that a recorded
-- segment has, which follows the one before it and ends where the chain was
-- signed, and no others.
GRANT EXECUTE ON FUNCTION millwright_archive(text, bigint) TO millwright_app;

-- An org's events in order, under a collation that the primary key doesn't
-- have, which keeps that from being walked in its place. An expression would
-- do that too, but no condition on one may go before a row's policy unless
-- its functions are leakproof, and || is not: each page mark was then found by
-- walking there.
DROP INDEX audit_by_age;
CREATE INDEX audit_by_age ON audit_events (org_id, id COLLATE "C");
