-- +goose Up
-- Connections that a gateway is asked to try, a row for each node, and what
-- came of them. Asking again replaces a service's.

CREATE TABLE service_probes (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  service_id text NOT NULL,
  node_id text NOT NULL,
  asked_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  answered_at timestamptz,
  tried_at timestamptz,
  ok boolean NOT NULL,
  detail text NOT NULL,
  CONSTRAINT probe_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT probe_one_per_node UNIQUE (org_id, node_id),
  CONSTRAINT probe_of_a_service FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id) ON DELETE CASCADE,
  CONSTRAINT probe_of_a_node FOREIGN KEY (org_id, node_id) REFERENCES service_nodes (org_id, id) ON DELETE CASCADE
);
CREATE INDEX probe_by_service ON service_probes (org_id, service_id);
CREATE INDEX probe_waiting ON service_probes (expires_at) WHERE answered_at IS NULL;

ALTER TABLE service_probes ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON service_probes USING (millwright_sees(org_id));
