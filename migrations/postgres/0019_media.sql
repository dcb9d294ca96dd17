-- +goose Up
-- A task that changes a virtual CD names the file; "" ejects.
ALTER TABLE tasks ADD COLUMN media text NOT NULL DEFAULT '';
