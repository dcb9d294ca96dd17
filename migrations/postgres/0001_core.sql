-- +goose Up
-- Tables, keys and limits of the core. Tenant tables carry org_id; children
-- refer to (org_id, id), so that the database refuses a link across orgs.

CREATE TABLE orgs (
  id text PRIMARY KEY,
  slug text NOT NULL CONSTRAINT org_slug_unique UNIQUE,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  suspended_at timestamptz
);

CREATE TABLE users (
  id text PRIMARY KEY,
  email text NOT NULL CONSTRAINT user_email_unique UNIQUE,
  name text NOT NULL,
  password_hash text NOT NULL,
  provider_role text NOT NULL,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz
);

CREATE TABLE members (
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  role text NOT NULL CONSTRAINT member_role_known CHECK (role IN ('admin', 'user', 'auditor')),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (org_id, user_id)
);
CREATE INDEX member_by_user ON members (user_id);

CREATE TABLE sessions (
  id text PRIMARY KEY,
  token_hash text NOT NULL CONSTRAINT session_token_unique UNIQUE,
  user_id text NOT NULL REFERENCES users (id),
  data text NOT NULL,
  source text NOT NULL,
  user_agent text NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX session_by_user ON sessions (user_id);

CREATE TABLE throttles (
  key text PRIMARY KEY,
  failures bigint NOT NULL,
  window_end timestamptz NOT NULL
);

CREATE TABLE clouds (
  id text PRIMARY KEY,
  slug text NOT NULL CONSTRAINT cloud_slug_unique UNIQUE,
  name text NOT NULL,
  class text NOT NULL CONSTRAINT cloud_class_known CHECK (class IN ('public', 'private')),
  price_factor_percent bigint NOT NULL CONSTRAINT cloud_price_factor_not_negative CHECK (price_factor_percent >= 0),
  url text NOT NULL,
  thumbprint_sha256 text NOT NULL,
  instance_uuid text NOT NULL,
  datacenter text NOT NULL,
  folder text NOT NULL,
  resource_pool text NOT NULL,
  datastore text NOT NULL,
  status text NOT NULL,
  status_text text NOT NULL,
  status_since timestamptz NOT NULL,
  seen_at timestamptz,
  hosts bigint NOT NULL,
  free_vcpus bigint NOT NULL,
  free_memory_mib bigint NOT NULL,
  free_storage_gib bigint NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE cloud_secrets (
  cloud_id text PRIMARY KEY REFERENCES clouds (id),
  username text NOT NULL,
  password bytea NOT NULL
);

CREATE TABLE templates (
  id text PRIMARY KEY,
  slug text NOT NULL CONSTRAINT template_slug_unique UNIQUE,
  name text NOT NULL,
  os text NOT NULL,
  icon text NOT NULL,
  version text NOT NULL,
  description text NOT NULL,
  min_vcpus bigint NOT NULL,
  min_memory_mib bigint NOT NULL,
  min_disk_gib bigint NOT NULL,
  position bigint NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE template_images (
  template_id text NOT NULL REFERENCES templates (id),
  cloud_id text NOT NULL REFERENCES clouds (id),
  image_uuid text NOT NULL,
  PRIMARY KEY (template_id, cloud_id)
);

CREATE TABLE instance_types (
  id text PRIMARY KEY,
  slug text NOT NULL CONSTRAINT instance_type_slug_unique UNIQUE,
  name text NOT NULL,
  vcpus bigint NOT NULL CONSTRAINT instance_type_vcpus_positive CHECK (vcpus > 0),
  memory_mib bigint NOT NULL CONSTRAINT instance_type_memory_positive CHECK (memory_mib > 0),
  disk_gib bigint NOT NULL CONSTRAINT instance_type_disk_positive CHECK (disk_gib > 0),
  price_per_hour_micros bigint NOT NULL CONSTRAINT instance_type_price_not_negative CHECK (price_per_hour_micros >= 0),
  position bigint NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE quotas (
  org_id text NOT NULL REFERENCES orgs (id),
  resource text NOT NULL,
  ceiling bigint NOT NULL CONSTRAINT quota_ceiling_not_negative CHECK (ceiling >= 0),
  used bigint NOT NULL CONSTRAINT quota_used_not_negative CHECK (used >= 0),
  PRIMARY KEY (org_id, resource)
);

CREATE TABLE networks (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  cloud_id text NOT NULL REFERENCES clouds (id),
  name text NOT NULL,
  cidr text NOT NULL,
  gateway text NOT NULL,
  port_group text NOT NULL,
  is_default boolean NOT NULL,
  next_host bigint NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT network_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT network_name_unique UNIQUE (org_id, cloud_id, name)
);
CREATE UNIQUE INDEX network_one_default_per_cloud ON networks (org_id, cloud_id) WHERE is_default;

CREATE TABLE machines (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  name text NOT NULL,
  state text NOT NULL CONSTRAINT machine_state_known CHECK (state IN
    ('building', 'running', 'stopped', 'suspended', 'failed', 'missing', 'deleting', 'deleted')),
  observed_power text NOT NULL,
  template_id text NOT NULL REFERENCES templates (id),
  instance_type_id text NOT NULL REFERENCES instance_types (id),
  vcpus bigint NOT NULL,
  memory_mib bigint NOT NULL,
  disk_gib bigint NOT NULL,
  price_per_hour_micros bigint NOT NULL,
  cloud_id text NOT NULL REFERENCES clouds (id),
  network_id text NOT NULL,
  address text NOT NULL,
  owner_id text NOT NULL REFERENCES users (id),
  placement_reason text NOT NULL,
  vm_ref text NOT NULL,
  host text NOT NULL,
  observed_address text NOT NULL,
  tools_running boolean NOT NULL,
  observed_at timestamptz,
  reserved boolean NOT NULL,
  failure text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  deleted_at timestamptz,
  CONSTRAINT machine_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT machine_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id)
);
CREATE UNIQUE INDEX machine_name_unique ON machines (org_id, name) WHERE state <> 'deleted';
CREATE INDEX machine_by_age ON machines (org_id, id) WHERE state <> 'deleted';
CREATE INDEX machine_by_state ON machines (org_id, state, id) WHERE state <> 'deleted';
CREATE INDEX machine_by_name ON machines (org_id, name, id) WHERE state <> 'deleted';
CREATE INDEX machine_by_cloud ON machines (cloud_id) WHERE state <> 'deleted';

CREATE TABLE addresses (
  org_id text NOT NULL,
  network_id text NOT NULL,
  address text NOT NULL,
  host bigint NOT NULL,
  machine_id text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (network_id, address),
  CONSTRAINT address_host_unique UNIQUE (network_id, host),
  CONSTRAINT address_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id),
  CONSTRAINT address_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE INDEX address_by_machine ON addresses (machine_id);

CREATE TABLE tasks (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  machine_id text NOT NULL,
  machine_name text NOT NULL,
  kind text NOT NULL,
  op text NOT NULL,
  state text NOT NULL CONSTRAINT task_state_known CHECK (state IN
    ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
  percent bigint NOT NULL CONSTRAINT task_percent_in_range CHECK (percent BETWEEN 0 AND 100),
  waiting text NOT NULL,
  error_code text NOT NULL,
  error_text text NOT NULL,
  detail text NOT NULL,
  undone boolean NOT NULL,
  actor_id text NOT NULL,
  actor_name text NOT NULL,
  session_id text NOT NULL,
  source text NOT NULL,
  request_id text NOT NULL,
  retry_of text NOT NULL,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  CONSTRAINT task_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT task_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE UNIQUE INDEX task_one_active_per_machine ON tasks (machine_id) WHERE state IN ('queued', 'running', 'cancelling');
CREATE INDEX task_by_machine ON tasks (machine_id, id);
CREATE INDEX task_by_age ON tasks (org_id, id);
CREATE INDEX task_active ON tasks (org_id, id) WHERE state IN ('queued', 'running', 'cancelling');

CREATE TABLE task_steps (
  org_id text NOT NULL,
  task_id text NOT NULL,
  position bigint NOT NULL,
  name text NOT NULL,
  title text NOT NULL,
  state text NOT NULL,
  percent bigint NOT NULL,
  reference text NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (task_id, position),
  CONSTRAINT step_task_of_same_org FOREIGN KEY (org_id, task_id) REFERENCES tasks (org_id, id)
);

CREATE TABLE task_logs (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  task_id text NOT NULL,
  at timestamptz NOT NULL,
  text text NOT NULL,
  CONSTRAINT log_task_of_same_org FOREIGN KEY (org_id, task_id) REFERENCES tasks (org_id, id)
);
CREATE INDEX task_log_by_task ON task_logs (task_id, id);

CREATE TABLE console_tickets (
  hash text PRIMARY KEY,
  org_id text NOT NULL,
  machine_id text NOT NULL,
  user_id text NOT NULL,
  session_id text NOT NULL,
  mode text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  redeemed_at timestamptz,
  CONSTRAINT ticket_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE INDEX console_ticket_by_expiry ON console_tickets (expires_at);

CREATE TABLE console_sessions (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  machine_id text NOT NULL,
  user_id text NOT NULL,
  session_id text NOT NULL,
  mode text NOT NULL,
  node text NOT NULL,
  source text NOT NULL,
  opened_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  closed_at timestamptz,
  bytes_in bigint NOT NULL,
  bytes_out bigint NOT NULL,
  reason text NOT NULL,
  CONSTRAINT console_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE INDEX console_open ON console_sessions (org_id) WHERE closed_at IS NULL;

CREATE TABLE audit_events (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  at timestamptz NOT NULL,
  actor_kind text NOT NULL,
  actor_id text NOT NULL,
  actor_name text NOT NULL,
  session_id text NOT NULL,
  source text NOT NULL,
  action text NOT NULL,
  object_kind text NOT NULL,
  object_id text NOT NULL,
  object_name text NOT NULL,
  outcome text NOT NULL,
  before text NOT NULL,
  after text NOT NULL,
  request_id text NOT NULL,
  body text NOT NULL
);
CREATE INDEX audit_by_age ON audit_events (org_id, id);
CREATE INDEX audit_by_object ON audit_events (org_id, object_id, id);
CREATE INDEX audit_by_action ON audit_events (org_id, action, id);
