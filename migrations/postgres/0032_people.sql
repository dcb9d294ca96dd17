-- +goose Up
-- Pages of an org's people go by name: of a large org, the first fifty are
-- found by walking the names and not by sorting everybody.
CREATE INDEX user_by_name ON users (name, id);
