-- +goose Up
-- Outbound NAT is on by default. An org that has turned it off is given no
-- address for it again.
ALTER TABLE org_gateways ADD COLUMN outbound_off boolean NOT NULL DEFAULT false;
