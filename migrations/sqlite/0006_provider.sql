-- +goose Up
-- What operators keep: who manages a record, clouds that rest, catalogs,
-- ranges of VLANs and public IPs, the nodes of the portal, and looks into orgs.

-- A record of the file is the file's until an operator changes it here.
ALTER TABLE clouds ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT cloud_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE clouds ADD COLUMN revision integer NOT NULL DEFAULT 1;
ALTER TABLE clouds ADD COLUMN disabled_at timestamp;
ALTER TABLE clouds ADD COLUMN drained_at timestamp;
ALTER TABLE templates ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT template_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE templates ADD COLUMN retired_at timestamp;
ALTER TABLE instance_types ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT instance_type_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE instance_types ADD COLUMN retired_at timestamp;
ALTER TABLE orgs ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT org_manager_known CHECK (managed_by IN ('file', 'portal'));

CREATE TABLE vlan_ranges (
  id text PRIMARY KEY,
  cloud_id text NOT NULL REFERENCES clouds (id),
  first_vlan integer NOT NULL,
  last_vlan integer NOT NULL,
  created_at timestamp NOT NULL,
  CONSTRAINT vlan_range_within_802_1q CHECK (first_vlan >= 1 AND first_vlan <= last_vlan AND last_vlan <= 4094)
);
CREATE INDEX vlan_range_by_cloud ON vlan_ranges (cloud_id, first_vlan);

CREATE TABLE public_ip_ranges (
  id text PRIMARY KEY,
  name text NOT NULL CONSTRAINT public_ip_range_name_unique UNIQUE,
  first_address text NOT NULL,
  last_address text NOT NULL,
  price_per_hour_micros integer NOT NULL CONSTRAINT public_ip_range_price_not_negative CHECK (price_per_hour_micros >= 0),
  created_at timestamp NOT NULL,
  disabled_at timestamp
);

-- A row per address, made with its range.
CREATE TABLE public_ips (
  id text PRIMARY KEY,
  range_id text NOT NULL REFERENCES public_ip_ranges (id),
  address text NOT NULL CONSTRAINT public_ip_address_unique UNIQUE,
  position integer NOT NULL,
  org_id text REFERENCES orgs (id),
  state text NOT NULL CONSTRAINT public_ip_state_known CHECK (state IN ('free', 'assigned', 'releasing', 'quarantined')),
  assigned_at timestamp,
  released_at timestamp,
  quarantine_until timestamp,
  created_at timestamp NOT NULL,
  CONSTRAINT public_ip_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT public_ip_free_is_nobodys CHECK (state <> 'free' OR org_id IS NULL),
  CONSTRAINT public_ip_assigned_is_somebodys CHECK (state <> 'assigned' OR org_id IS NOT NULL)
);
CREATE INDEX public_ip_by_range ON public_ips (range_id, state, position);

CREATE TABLE catalogs (
  id text PRIMARY KEY,
  slug text NOT NULL CONSTRAINT catalog_slug_unique UNIQUE,
  name text NOT NULL,
  public boolean NOT NULL,
  created_at timestamp NOT NULL
);

CREATE TABLE catalog_templates (
  catalog_id text NOT NULL REFERENCES catalogs (id),
  template_id text NOT NULL REFERENCES templates (id),
  PRIMARY KEY (catalog_id, template_id)
);
CREATE INDEX catalog_by_template ON catalog_templates (template_id);

CREATE TABLE catalog_orgs (
  catalog_id text NOT NULL REFERENCES catalogs (id),
  org_id text NOT NULL REFERENCES orgs (id),
  PRIMARY KEY (catalog_id, org_id)
);
CREATE INDEX catalog_by_org ON catalog_orgs (org_id);

-- What was on the menu before there were catalogs stays on it, for everybody.
INSERT INTO catalogs (id, slug, name, public, created_at)
  VALUES ('01900000-0000-7000-8000-000000000001', 'default', 'Default', true, strftime('%Y-%m-%d %H:%M:%S.000000+00:00', 'now'));
INSERT INTO catalog_templates (catalog_id, template_id)
  SELECT '01900000-0000-7000-8000-000000000001', id FROM templates;

CREATE TABLE portal_nodes (
  id text PRIMARY KEY,
  address text NOT NULL,
  version text NOT NULL,
  started_at timestamp NOT NULL,
  seen_at timestamp NOT NULL,
  stopped_at timestamp
);

CREATE TABLE provider_looks (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  session_id text NOT NULL,
  reason text NOT NULL CONSTRAINT look_has_a_reason CHECK (reason <> ''),
  started_at timestamp NOT NULL,
  expires_at timestamp NOT NULL CONSTRAINT look_expires_after_it_starts CHECK (expires_at > started_at),
  ended_at timestamp
);
CREATE UNIQUE INDEX look_one_per_session_and_org ON provider_looks (session_id, org_id) WHERE ended_at IS NULL;
CREATE INDEX look_by_user ON provider_looks (user_id, expires_at);
