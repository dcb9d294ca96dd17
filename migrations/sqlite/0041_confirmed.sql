-- +goose Up
-- A VLAN that a deleted network had stays its org's until the gateway has
-- applied the generation that is without it; 0: in use, or free.
ALTER TABLE network_vlans ADD COLUMN release_generation INTEGER NOT NULL DEFAULT 0;

-- The last drift that was told: a report whose answer was lost brings it again.
ALTER TABLE org_gateways ADD COLUMN drift_epoch TEXT NOT NULL DEFAULT '';
ALTER TABLE org_gateways ADD COLUMN drift_sequence INTEGER NOT NULL DEFAULT 0;
