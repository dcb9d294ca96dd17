-- +goose Up
-- Ports of public addresses, each taken once by whichever feature wants it.

ALTER TABLE public_ips ADD COLUMN price_per_hour_micros integer NOT NULL DEFAULT 0;
ALTER TABLE public_ips ADD COLUMN release_generation integer NOT NULL DEFAULT 0;

CREATE TABLE reserved_ports (
  l4_protocol text NOT NULL CONSTRAINT reserved_l4_known CHECK (l4_protocol IN ('tcp', 'udp')),
  port integer NOT NULL CONSTRAINT reserved_port_in_range CHECK (port BETWEEN 1 AND 65535),
  for_vpn boolean NOT NULL,
  PRIMARY KEY (l4_protocol, port)
);

CREATE TABLE public_endpoints (
  public_ip_id text NOT NULL,
  l4_protocol text NOT NULL CONSTRAINT endpoint_l4_known CHECK (l4_protocol IN ('tcp', 'udp')),
  port integer NOT NULL CONSTRAINT endpoint_port_in_range CHECK (port BETWEEN 1 AND 65535),
  org_id text NOT NULL,
  service_id text CONSTRAINT endpoint_one_per_service UNIQUE,
  vpn_id text CONSTRAINT endpoint_one_per_vpn UNIQUE,
  PRIMARY KEY (public_ip_id, l4_protocol, port),
  CONSTRAINT endpoint_one_owner CHECK ((service_id IS NULL) <> (vpn_id IS NULL)),
  CONSTRAINT endpoint_ip_of_same_org FOREIGN KEY (org_id, public_ip_id) REFERENCES public_ips (org_id, id),
  CONSTRAINT endpoint_service_of_same_org FOREIGN KEY (org_id, service_id) REFERENCES internet_services (org_id, id),
  CONSTRAINT endpoint_vpn_of_same_org FOREIGN KEY (org_id, vpn_id) REFERENCES vpn_gateways (org_id, id)
);
CREATE INDEX endpoint_by_org ON public_endpoints (org_id);

-- +goose StatementBegin
CREATE TRIGGER endpoint_sound_new BEFORE INSERT ON public_endpoints
BEGIN
  SELECT RAISE(ABORT, 'port_reserved') FROM reserved_ports r
    WHERE r.l4_protocol = NEW.l4_protocol AND r.port = NEW.port AND NOT (r.for_vpn AND NEW.vpn_id IS NOT NULL);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER endpoint_sound_changed BEFORE UPDATE OF l4_protocol, port ON public_endpoints
BEGIN
  SELECT RAISE(ABORT, 'port_reserved') FROM reserved_ports r
    WHERE r.l4_protocol = NEW.l4_protocol AND r.port = NEW.port AND NOT (r.for_vpn AND NEW.vpn_id IS NOT NULL);
END;
-- +goose StatementEnd

-- In PostgreSQL a foreign key; SQLite adds none to a table that is there.
-- +goose StatementBegin
CREATE TRIGGER gateway_outbound_sound BEFORE UPDATE OF outbound_ip_id ON org_gateways WHEN NEW.outbound_ip_id IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'outbound_foreign') WHERE NOT EXISTS (SELECT 1 FROM public_ips p WHERE p.id = NEW.outbound_ip_id AND p.org_id = NEW.org_id);
END;
-- +goose StatementEnd
