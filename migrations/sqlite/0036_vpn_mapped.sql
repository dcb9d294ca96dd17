-- +goose Up
-- Where the VPN really listens, if elsewhere than at its public address: the
-- lab's gateway says so where the system has no such address.
ALTER TABLE vpn_gateways ADD COLUMN mapped TEXT NOT NULL DEFAULT '';
