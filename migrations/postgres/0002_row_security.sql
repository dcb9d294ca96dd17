-- +goose Up
-- The portal works as a role that owns no table, so that row-level security
-- repeats in the database what every statement says already: an org's
-- transaction sees the org's rows, whatever the query.

-- +goose StatementBegin
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'millwright_app') THEN
    CREATE ROLE millwright_app NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL; -- another database of the same server made it at the same moment
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
  EXECUTE format('GRANT millwright_app TO %I', current_user);
END
$$;
-- +goose StatementEnd

GRANT USAGE ON SCHEMA public TO millwright_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO millwright_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO millwright_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO millwright_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO millwright_app;

-- History is written once.
REVOKE UPDATE, DELETE, TRUNCATE ON audit_events FROM millwright_app;
-- Which migrations have run is the owner's to say.
REVOKE ALL ON goose_db_version FROM millwright_app;

CREATE FUNCTION millwright_sees(org text) RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT org = current_setting('millwright.org', true) OR current_setting('millwright.system', true) = 'on' $$;

CREATE FUNCTION millwright_is_system() RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT current_setting('millwright.system', true) = 'on' $$;

-- An org reads these and writes none.
ALTER TABLE orgs ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON orgs FOR SELECT USING (millwright_sees(id));
CREATE POLICY system_rows ON orgs USING (millwright_is_system());
ALTER TABLE members ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON members FOR SELECT USING (millwright_sees(org_id));
CREATE POLICY system_rows ON members USING (millwright_is_system());
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_reads ON users FOR SELECT USING (
  EXISTS (SELECT FROM members m WHERE m.user_id = users.id AND m.org_id = current_setting('millwright.org', true)));
CREATE POLICY system_rows ON users USING (millwright_is_system());
ALTER TABLE clouds ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON clouds FOR SELECT USING (true);
CREATE POLICY system_rows ON clouds USING (millwright_is_system());
ALTER TABLE templates ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON templates FOR SELECT USING (true);
CREATE POLICY system_rows ON templates USING (millwright_is_system());
ALTER TABLE template_images ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON template_images FOR SELECT USING (true);
CREATE POLICY system_rows ON template_images USING (millwright_is_system());
ALTER TABLE instance_types ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON instance_types FOR SELECT USING (true);
CREATE POLICY system_rows ON instance_types USING (millwright_is_system());

-- An org reads and writes these.
ALTER TABLE quotas ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON quotas USING (millwright_sees(org_id));
ALTER TABLE networks ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON networks USING (millwright_sees(org_id));
ALTER TABLE machines ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON machines USING (millwright_sees(org_id));
ALTER TABLE addresses ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON addresses USING (millwright_sees(org_id));
ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON tasks USING (millwright_sees(org_id));
ALTER TABLE task_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON task_steps USING (millwright_sees(org_id));
ALTER TABLE task_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON task_logs USING (millwright_sees(org_id));
ALTER TABLE console_tickets ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON console_tickets USING (millwright_sees(org_id));
ALTER TABLE console_sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON console_sessions USING (millwright_sees(org_id));
ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON audit_events USING (millwright_sees(org_id));

-- No org has any business here.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON sessions USING (millwright_is_system());
ALTER TABLE throttles ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON throttles USING (millwright_is_system());
ALTER TABLE cloud_secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON cloud_secrets USING (millwright_is_system());
