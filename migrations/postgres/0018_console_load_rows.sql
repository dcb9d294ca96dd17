-- +goose Up
-- What an org's transaction sees of the caps on consoles: its own machines',
-- and those of accounts and hosts, which belong to no one org.
ALTER TABLE console_loads ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON console_loads USING (
  kind <> 'machine' OR millwright_is_system() OR EXISTS (SELECT FROM machines m WHERE m.id = console_loads.key));
