-- +goose Up
-- Ports of public addresses, each taken once by whichever feature wants it.

ALTER TABLE public_ips ADD COLUMN price_per_hour_micros bigint NOT NULL DEFAULT 0;
ALTER TABLE public_ips ADD COLUMN release_generation bigint NOT NULL DEFAULT 0;

CREATE TABLE reserved_ports (
  l4_protocol text NOT NULL CONSTRAINT reserved_l4_known CHECK (l4_protocol IN ('tcp', 'udp')),
  port bigint NOT NULL CONSTRAINT reserved_port_in_range CHECK (port BETWEEN 1 AND 65535),
  for_vpn boolean NOT NULL,
  PRIMARY KEY (l4_protocol, port)
);

CREATE TABLE public_endpoints (
  public_ip_id text NOT NULL,
  l4_protocol text NOT NULL CONSTRAINT endpoint_l4_known CHECK (l4_protocol IN ('tcp', 'udp')),
  port bigint NOT NULL CONSTRAINT endpoint_port_in_range CHECK (port BETWEEN 1 AND 65535),
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
CREATE FUNCTION endpoint_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM reserved_ports r WHERE r.l4_protocol = NEW.l4_protocol AND r.port = NEW.port AND NOT (r.for_vpn AND NEW.vpn_id IS NOT NULL)) THEN
    PERFORM millwright_refuse('port_reserved');
  END IF;
  RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER endpoint_sound BEFORE INSERT OR UPDATE OF l4_protocol, port ON public_endpoints FOR EACH ROW EXECUTE FUNCTION endpoint_check();

ALTER TABLE org_gateways ADD CONSTRAINT gateway_outbound_of_same_org FOREIGN KEY (org_id, outbound_ip_id) REFERENCES public_ips (org_id, id);

-- A free address is anybody's to see and to take.
CREATE POLICY free_ones_seen ON public_ips FOR SELECT USING (state = 'free');
CREATE POLICY free_ones_taken ON public_ips FOR UPDATE USING (state = 'free') WITH CHECK (millwright_sees(org_id));
-- The portal alone ends a release.
DROP POLICY org_rows ON public_ips;
CREATE POLICY org_rows ON public_ips FOR SELECT USING (millwright_sees(org_id));
CREATE POLICY org_changes ON public_ips FOR UPDATE USING (millwright_sees(org_id)) WITH CHECK (millwright_sees(org_id));
CREATE POLICY system_rows ON public_ips USING (millwright_is_system());

ALTER TABLE public_endpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON public_endpoints USING (millwright_sees(org_id));
ALTER TABLE reserved_ports ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON reserved_ports FOR SELECT USING (true);
CREATE POLICY system_rows ON reserved_ports USING (millwright_is_system());
