-- +goose Up
-- SQLite has no row-level security: only this node's own code reads the file.
SELECT 1;
