-- +goose Up
-- Gateways, and what an org has on one: networks with a VLAN each, Internet
-- services with their nodes, the firewall, VPN. Public addresses and ports come
-- with 0011.

-- What a trigger refuses has a code of its own, and a name for a message.
CREATE FUNCTION millwright_refuse(name text) RETURNS void LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'MW001', MESSAGE = name; END $$;

CREATE TABLE edges (
  id text PRIMARY KEY,
  name text NOT NULL CONSTRAINT edge_name_unique UNIQUE,
  local boolean NOT NULL,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz,
  seen_at timestamptz,
  agent text NOT NULL,
  epoch text NOT NULL,
  problem text NOT NULL,
  features text NOT NULL
);

CREATE TABLE edge_tokens (
  hash text PRIMARY KEY,
  edge_id text NOT NULL REFERENCES edges (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz
);
CREATE INDEX edge_token_by_edge ON edge_tokens (edge_id);

CREATE TABLE edge_clouds (
  edge_id text NOT NULL REFERENCES edges (id),
  cloud_id text NOT NULL REFERENCES clouds (id),
  PRIMARY KEY (edge_id, cloud_id)
);

CREATE TABLE org_gateways (
  org_id text PRIMARY KEY REFERENCES orgs (id),
  edge_id text REFERENCES edges (id),
  key text NOT NULL CONSTRAINT gateway_key_unique UNIQUE CONSTRAINT gateway_key_plain CHECK (key ~ '^[a-z0-9]{1,8}$'),
  generation bigint NOT NULL CONSTRAINT gateway_generation_positive CHECK (generation > 0),
  observed bigint NOT NULL,
  applied bigint NOT NULL,
  error text NOT NULL,
  failed text NOT NULL,
  drift text NOT NULL,
  drift_at timestamptz,
  reported_at timestamptz,
  outbound_ip_id text,
  next_mark bigint NOT NULL CONSTRAINT gateway_mark_in_range CHECK (next_mark BETWEEN 1 AND 65536),
  created_at timestamptz NOT NULL
);
CREATE INDEX gateway_by_edge ON org_gateways (edge_id);

-- The VLANs of a cloud that may be given to networks, a row each: a free one
-- belongs to nobody and anybody may take it.
CREATE TABLE network_vlans (
  cloud_id text NOT NULL REFERENCES clouds (id),
  vlan bigint NOT NULL CONSTRAINT vlan_in_range CHECK (vlan BETWEEN 1 AND 4094),
  org_id text REFERENCES orgs (id),
  PRIMARY KEY (cloud_id, vlan)
);

ALTER TABLE networks ADD COLUMN number bigint NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN vlan bigint NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN first_ip bigint NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN last_ip bigint NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN deleted_at timestamptz;
UPDATE networks SET
  first_ip = network(cidr::inet)::inet - '0.0.0.0'::inet,
  last_ip = broadcast(cidr::inet) - '0.0.0.0'::inet,
  number = (SELECT COUNT(*) FROM networks n WHERE n.org_id = networks.org_id AND n.id <= networks.id);
CREATE UNIQUE INDEX network_vlan_unique ON networks (cloud_id, vlan) WHERE vlan > 0;
CREATE UNIQUE INDEX network_number_unique ON networks (org_id, number) WHERE number > 0;
CREATE UNIQUE INDEX address_of_machine ON addresses (org_id, network_id, address, machine_id);

CREATE TABLE vpn_gateways (
  id text PRIMARY KEY,
  org_id text NOT NULL CONSTRAINT vpn_one_per_org UNIQUE REFERENCES orgs (id),
  public_key text NOT NULL,
  private_key bytea NOT NULL,
  cidr text NOT NULL,
  address text NOT NULL,
  first_ip bigint NOT NULL,
  last_ip bigint NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT vpn_org_id_unique UNIQUE (org_id, id)
);

CREATE TABLE vpn_peers (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  vpn_id text NOT NULL,
  user_id text NOT NULL REFERENCES users (id),
  device text NOT NULL,
  public_key text NOT NULL,
  address text NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  last_handshake timestamptz,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  CONSTRAINT peer_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT peer_vpn_of_same_org FOREIGN KEY (org_id, vpn_id) REFERENCES vpn_gateways (org_id, id)
);
CREATE UNIQUE INDEX peer_key_unique ON vpn_peers (org_id, public_key);
CREATE UNIQUE INDEX peer_address_unique ON vpn_peers (vpn_id, address) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX peer_device_unique ON vpn_peers (org_id, user_id, device) WHERE revoked_at IS NULL;

-- +goose StatementBegin
CREATE FUNCTION network_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.last_ip - NEW.first_ip < 7 OR NEW.last_ip - NEW.first_ip > 16777215 THEN
    PERFORM millwright_refuse('network_size');
  END IF;
  -- 0/8, loopback, link-local with the metadata service, multicast and above.
  IF NEW.first_ip < 16777216 OR (NEW.first_ip <= 2147483647 AND NEW.last_ip >= 2130706432)
    OR (NEW.first_ip <= 2852061183 AND NEW.last_ip >= 2851995648) OR NEW.last_ip >= 3758096384 THEN
    PERFORM millwright_refuse('network_range_reserved');
  END IF;
  -- One at a time for each org, or two that overlap would not see each other.
  PERFORM pg_advisory_xact_lock(hashtextextended('millwright/networks/' || NEW.org_id, 0));
  IF EXISTS (SELECT FROM networks n WHERE n.org_id = NEW.org_id AND n.deleted_at IS NULL AND n.id <> NEW.id AND n.first_ip <= NEW.last_ip AND n.last_ip >= NEW.first_ip)
    OR EXISTS (SELECT FROM vpn_gateways v WHERE v.org_id = NEW.org_id AND v.id <> NEW.id AND v.first_ip <= NEW.last_ip AND v.last_ip >= NEW.first_ip) THEN
    PERFORM millwright_refuse('network_overlap');
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER network_sound BEFORE INSERT OR UPDATE OF first_ip, last_ip, org_id ON networks FOR EACH ROW EXECUTE FUNCTION network_check();
CREATE TRIGGER vpn_sound BEFORE INSERT OR UPDATE OF first_ip, last_ip, org_id ON vpn_gateways FOR EACH ROW EXECUTE FUNCTION network_check();

-- +goose StatementBegin
CREATE FUNCTION address_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE n networks;
BEGIN
  SELECT * INTO n FROM networks WHERE id = NEW.network_id AND org_id = NEW.org_id;
  IF NEW.host <= 0 OR NEW.host >= n.last_ip - n.first_ip OR NEW.address = n.gateway
    OR NEW.address <> host('0.0.0.0'::inet + (n.first_ip + NEW.host)) THEN
    PERFORM millwright_refuse('address_reserved');
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER address_sound BEFORE INSERT OR UPDATE OF address, host, network_id ON addresses FOR EACH ROW EXECUTE FUNCTION address_check();

CREATE TABLE internet_services (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  name text NOT NULL,
  mark bigint NOT NULL CONSTRAINT service_mark_in_range CHECK (mark BETWEEN 1 AND 65535),
  protocol text NOT NULL CONSTRAINT service_protocol_known CHECK (protocol IN ('tcp', 'udp', 'http')),
  enabled boolean NOT NULL,
  balancing text NOT NULL CONSTRAINT service_balancing_known CHECK (balancing IN ('least_connections', 'round_robin', 'source_address')),
  monitor_kind text NOT NULL CONSTRAINT service_monitor_known CHECK (monitor_kind IN ('', 'tcp', 'http')),
  monitor_path text NOT NULL,
  monitor_status bigint NOT NULL CONSTRAINT service_status_in_range CHECK (monitor_status = 0 OR monitor_status BETWEEN 100 AND 599),
  idle_timeout_seconds bigint NOT NULL CONSTRAINT service_idle_in_range CHECK (idle_timeout_seconds BETWEEN 1 AND 86400),
  sources text NOT NULL,
  price_per_hour_micros bigint NOT NULL,
  generation bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT service_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT service_name_unique UNIQUE (org_id, name),
  CONSTRAINT service_mark_unique UNIQUE (org_id, mark)
);

-- A node is a NIC of a machine: its address row, and nothing else.
CREATE TABLE service_nodes (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  service_id text NOT NULL,
  machine_id text NOT NULL,
  network_id text NOT NULL,
  address text NOT NULL,
  port bigint NOT NULL CONSTRAINT node_port_in_range CHECK (port BETWEEN 1 AND 65535),
  enabled boolean NOT NULL,
  draining boolean NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT node_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT node_once UNIQUE (service_id, network_id, address, port),
  CONSTRAINT node_service_of_same_org FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE,
  CONSTRAINT node_is_a_nic FOREIGN KEY (org_id, network_id, address, machine_id)
    REFERENCES addresses (org_id, network_id, address, machine_id) ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX node_by_machine ON service_nodes (org_id, machine_id);
CREATE INDEX node_by_address ON service_nodes (org_id, network_id, address, machine_id);

CREATE TABLE node_status (
  node_id text PRIMARY KEY,
  org_id text NOT NULL,
  state text NOT NULL,
  since timestamptz NOT NULL,
  reason text NOT NULL,
  open_now bigint NOT NULL,
  connections bigint NOT NULL,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  reported_at timestamptz NOT NULL,
  CONSTRAINT status_node_of_same_org FOREIGN KEY (org_id, node_id) REFERENCES service_nodes (org_id, id) ON DELETE CASCADE
);

CREATE TABLE service_status (
  service_id text PRIMARY KEY,
  org_id text NOT NULL,
  mapped text NOT NULL,
  open_now bigint NOT NULL,
  reported_at timestamptz NOT NULL,
  CONSTRAINT status_service_of_same_org FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE
);

-- The highest that was reported in each epoch of a gateway's counters; the sum
-- over the epochs is what was carried. It outlives the service, for the bill.
CREATE TABLE service_counters (
  service_id text NOT NULL,
  epoch text NOT NULL,
  org_id text NOT NULL REFERENCES orgs (id),
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  connections bigint NOT NULL,
  began_at timestamptz NOT NULL,
  reported_at timestamptz NOT NULL,
  PRIMARY KEY (service_id, epoch)
);
CREATE INDEX counter_by_org ON service_counters (org_id);

CREATE TABLE firewall_rules (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  position bigint NOT NULL,
  direction text NOT NULL CONSTRAINT rule_direction_known CHECK (direction IN ('in', 'out')),
  outside text NOT NULL,
  network_id text,
  machine_id text,
  protocol text NOT NULL CONSTRAINT rule_protocol_known CHECK (protocol IN ('any', 'tcp', 'udp', 'icmp')),
  first_port bigint NOT NULL CONSTRAINT rule_first_port_in_range CHECK (first_port BETWEEN 0 AND 65535),
  last_port bigint NOT NULL CONSTRAINT rule_ports_in_order CHECK (last_port BETWEEN first_port AND 65535),
  allow boolean NOT NULL,
  enabled boolean NOT NULL,
  comment text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT rule_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT rule_one_inside CHECK (network_id IS NULL OR machine_id IS NULL),
  CONSTRAINT rule_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id),
  CONSTRAINT rule_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE INDEX rule_in_order ON firewall_rules (org_id, position);

-- No org has any business here.
ALTER TABLE edges ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON edges USING (millwright_is_system());
ALTER TABLE edge_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON edge_tokens USING (millwright_is_system());
ALTER TABLE edge_clouds ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON edge_clouds USING (millwright_is_system());

-- A free VLAN is anybody's to see and to take, and nothing else of the table.
ALTER TABLE network_vlans ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON network_vlans USING (millwright_is_system());
CREATE POLICY own_or_free ON network_vlans FOR SELECT USING (org_id IS NULL OR millwright_sees(org_id));
CREATE POLICY take_or_return ON network_vlans FOR UPDATE USING (org_id IS NULL OR millwright_sees(org_id))
  WITH CHECK (org_id IS NULL OR millwright_sees(org_id));

-- An org reads and writes these.
ALTER TABLE org_gateways ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON org_gateways USING (millwright_sees(org_id));
ALTER TABLE vpn_gateways ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON vpn_gateways USING (millwright_sees(org_id));
ALTER TABLE vpn_peers ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON vpn_peers USING (millwright_sees(org_id));
ALTER TABLE internet_services ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON internet_services USING (millwright_sees(org_id));
ALTER TABLE service_nodes ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON service_nodes USING (millwright_sees(org_id));
ALTER TABLE node_status ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON node_status USING (millwright_sees(org_id));
ALTER TABLE service_status ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON service_status USING (millwright_sees(org_id));
ALTER TABLE service_counters ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON service_counters USING (millwright_sees(org_id));
ALTER TABLE firewall_rules ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON firewall_rules USING (millwright_sees(org_id));
