-- +goose Up
-- A Task is about a machine, or about a network: what is left of a deleted one
-- in vSphere. One at a time for each.

ALTER TABLE tasks ALTER COLUMN machine_id DROP NOT NULL;
ALTER TABLE tasks ADD COLUMN network_id text;
ALTER TABLE tasks ADD CONSTRAINT task_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id);
ALTER TABLE tasks ADD CONSTRAINT task_about_one_thing CHECK ((machine_id IS NULL) <> (network_id IS NULL));
CREATE UNIQUE INDEX task_one_active_per_network ON tasks (network_id) WHERE state IN ('queued', 'running', 'cancelling');
CREATE INDEX task_by_network ON tasks (network_id, id) WHERE network_id IS NOT NULL;
