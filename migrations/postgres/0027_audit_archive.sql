-- +goose Up
-- The portal may archive: millwright_archive removes events that a recorded
-- segment has, which follows the one before it and ends where the chain was
-- signed, and no others.
GRANT EXECUTE ON FUNCTION millwright_archive(text, bigint) TO millwright_app;
