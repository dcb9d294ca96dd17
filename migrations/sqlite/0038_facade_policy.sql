-- +goose Up
-- Policies that keep a service's nodes alive and their number right, the
-- machines that a policy made, and what it did.

CREATE TABLE facade_policies (
  service_id text PRIMARY KEY,
  org_id text NOT NULL,
  author_id text NOT NULL REFERENCES users (id),
  enabled boolean NOT NULL,
  min_nodes integer NOT NULL,
  max_nodes integer NOT NULL,
  template_id text NOT NULL REFERENCES templates (id),
  instance_type_id text NOT NULL REFERENCES instance_types (id),
  network_id text NOT NULL,
  node_port integer NOT NULL CONSTRAINT facade_port_in_range CHECK (node_port BETWEEN 1 AND 65535),
  dead_after_seconds integer NOT NULL CONSTRAINT facade_dead_after_in_range CHECK (dead_after_seconds BETWEEN 5 AND 3600),
  cooldown_seconds integer NOT NULL CONSTRAINT facade_cooldown_in_range CHECK (cooldown_seconds BETWEEN 5 AND 86400),
  orders_per_hour integer NOT NULL CONSTRAINT facade_orders_in_range CHECK (orders_per_hour BETWEEN 1 AND 60),
  scale_out_at integer NOT NULL,
  scale_in_at integer NOT NULL,
  accepted_micros integer NOT NULL,
  state text NOT NULL CONSTRAINT facade_state_known CHECK (state IN ('watching', 'acting', 'stopped')),
  reason text NOT NULL,
  reason_at timestamp,
  over_since timestamp,
  under_since timestamp,
  last_act_at timestamp,
  retry_at timestamp,
  next_number integer NOT NULL,
  created_at timestamp NOT NULL,
  updated_at timestamp NOT NULL,
  CONSTRAINT facade_of_a_service FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE,
  CONSTRAINT facade_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id),
  CONSTRAINT facade_nodes_in_order CHECK (min_nodes BETWEEN 1 AND max_nodes AND max_nodes <= 20),
  CONSTRAINT facade_scale_apart CHECK (scale_out_at = 0 AND scale_in_at = 0 OR scale_in_at >= 0 AND scale_in_at * 2 <= scale_out_at)
);

CREATE TABLE facade_machines (
  machine_id text PRIMARY KEY,
  org_id text NOT NULL,
  service_id text NOT NULL,
  state text NOT NULL CONSTRAINT facade_machine_state_known CHECK (state IN ('ordered', 'joined', 'leaving', 'gone')),
  node_id text,
  replaces text NOT NULL,
  ordered_at timestamp NOT NULL,
  leaving_at timestamp,
  CONSTRAINT facade_machine_of_a_service FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE,
  CONSTRAINT facade_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id)
);
CREATE INDEX facade_machine_by_service ON facade_machines (org_id, service_id);
-- However many look after a service at once: a dead node has one successor.
CREATE UNIQUE INDEX facade_one_successor ON facade_machines (org_id, replaces) WHERE replaces <> '' AND state IN ('ordered', 'joined');

CREATE TABLE facade_acts (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  service_id text NOT NULL,
  at timestamp NOT NULL,
  action text NOT NULL,
  text text NOT NULL,
  task_id text NOT NULL,
  CONSTRAINT facade_act_of_a_service FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE
);
CREATE INDEX facade_act_by_service ON facade_acts (org_id, service_id, id);
