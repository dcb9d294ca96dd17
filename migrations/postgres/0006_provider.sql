-- +goose Up
-- What operators keep: who manages a record, clouds that rest, catalogs,
-- ranges of VLANs and public IPs, the nodes of the portal, and looks into orgs.

-- A record of the file is the file's until an operator changes it here.
ALTER TABLE clouds ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT cloud_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE clouds ADD COLUMN revision bigint NOT NULL DEFAULT 1;
ALTER TABLE clouds ADD COLUMN disabled_at timestamptz;
ALTER TABLE clouds ADD COLUMN drained_at timestamptz;
ALTER TABLE templates ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT template_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE templates ADD COLUMN retired_at timestamptz;
ALTER TABLE instance_types ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT instance_type_manager_known CHECK (managed_by IN ('file', 'portal'));
ALTER TABLE instance_types ADD COLUMN retired_at timestamptz;
ALTER TABLE orgs ADD COLUMN managed_by text NOT NULL DEFAULT 'file'
  CONSTRAINT org_manager_known CHECK (managed_by IN ('file', 'portal'));

CREATE TABLE vlan_ranges (
  id text PRIMARY KEY,
  cloud_id text NOT NULL REFERENCES clouds (id),
  first_vlan bigint NOT NULL,
  last_vlan bigint NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT vlan_range_within_802_1q CHECK (first_vlan >= 1 AND first_vlan <= last_vlan AND last_vlan <= 4094)
);
CREATE INDEX vlan_range_by_cloud ON vlan_ranges (cloud_id, first_vlan);

CREATE TABLE public_ip_ranges (
  id text PRIMARY KEY,
  name text NOT NULL CONSTRAINT public_ip_range_name_unique UNIQUE,
  first_address text NOT NULL,
  last_address text NOT NULL,
  price_per_hour_micros bigint NOT NULL CONSTRAINT public_ip_range_price_not_negative CHECK (price_per_hour_micros >= 0),
  created_at timestamptz NOT NULL,
  disabled_at timestamptz
);

-- A row per address, made with its range.
CREATE TABLE public_ips (
  id text PRIMARY KEY,
  range_id text NOT NULL REFERENCES public_ip_ranges (id),
  address text NOT NULL CONSTRAINT public_ip_address_unique UNIQUE,
  position bigint NOT NULL,
  org_id text REFERENCES orgs (id),
  state text NOT NULL CONSTRAINT public_ip_state_known CHECK (state IN ('free', 'assigned', 'releasing', 'quarantined')),
  assigned_at timestamptz,
  released_at timestamptz,
  quarantine_until timestamptz,
  created_at timestamptz NOT NULL,
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
  created_at timestamptz NOT NULL
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
  VALUES ('01900000-0000-7000-8000-000000000001', 'default', 'Default', true, now());
INSERT INTO catalog_templates (catalog_id, template_id)
  SELECT '01900000-0000-7000-8000-000000000001', id FROM templates;

CREATE TABLE portal_nodes (
  id text PRIMARY KEY,
  address text NOT NULL,
  version text NOT NULL,
  started_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  stopped_at timestamptz
);

CREATE TABLE provider_looks (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  session_id text NOT NULL,
  reason text NOT NULL CONSTRAINT look_has_a_reason CHECK (reason <> ''),
  started_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CONSTRAINT look_expires_after_it_starts CHECK (expires_at > started_at),
  ended_at timestamptz
);
CREATE UNIQUE INDEX look_one_per_session_and_org ON provider_looks (session_id, org_id) WHERE ended_at IS NULL;
CREATE INDEX look_by_user ON provider_looks (user_id, expires_at);

-- An org reads what the provider offers to it.
ALTER TABLE vlan_ranges ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON vlan_ranges FOR SELECT USING (true);
CREATE POLICY system_rows ON vlan_ranges USING (millwright_is_system());
ALTER TABLE public_ip_ranges ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON public_ip_ranges FOR SELECT USING (true);
CREATE POLICY system_rows ON public_ip_ranges USING (millwright_is_system());
ALTER TABLE catalog_orgs ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON catalog_orgs FOR SELECT USING (millwright_sees(org_id));
CREATE POLICY system_rows ON catalog_orgs USING (millwright_is_system());
ALTER TABLE catalogs ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON catalogs FOR SELECT USING (public OR EXISTS (
  SELECT FROM catalog_orgs o WHERE o.catalog_id = catalogs.id AND o.org_id = current_setting('millwright.org', true)));
CREATE POLICY system_rows ON catalogs USING (millwright_is_system());
ALTER TABLE catalog_templates ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON catalog_templates FOR SELECT USING (
  EXISTS (SELECT FROM catalogs c WHERE c.id = catalog_id)); -- by its own policy
CREATE POLICY system_rows ON catalog_templates USING (millwright_is_system());

-- An org reads its own addresses, and who looks at it.
ALTER TABLE public_ips ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON public_ips USING (millwright_sees(org_id));
ALTER TABLE provider_looks ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON provider_looks FOR SELECT USING (millwright_sees(org_id));
CREATE POLICY system_rows ON provider_looks USING (millwright_is_system());

-- No org has any business here.
ALTER TABLE portal_nodes ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON portal_nodes USING (millwright_is_system());
