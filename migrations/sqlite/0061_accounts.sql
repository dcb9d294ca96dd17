-- +goose Up
-- Why operators disabled an account; the provider alone reads it.
ALTER TABLE users ADD COLUMN disabled_reason text NOT NULL DEFAULT '';
