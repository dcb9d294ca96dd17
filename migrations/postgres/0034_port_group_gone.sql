-- +goose Up
-- When a deleted network's port group was seen to be gone from vSphere.
ALTER TABLE networks ADD COLUMN port_group_gone_at timestamptz;
