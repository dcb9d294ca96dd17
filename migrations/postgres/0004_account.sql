-- +goose Up
-- Your account: the second factor with its recovery codes, the moment between
-- password and code, and API tokens.

CREATE TABLE second_factors (
  user_id text PRIMARY KEY REFERENCES users (id),
  secret bytea NOT NULL,
  last_step bigint NOT NULL,
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz
);

CREATE TABLE recovery_codes (
  user_id text NOT NULL REFERENCES second_factors (user_id),
  hash text NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (user_id, hash)
);

CREATE TABLE sign_in_challenges (
  token_hash text PRIMARY KEY,
  user_id text NOT NULL REFERENCES users (id),
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sign_in_challenge_by_user ON sign_in_challenges (user_id);

CREATE TABLE api_tokens (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  name text NOT NULL,
  role text NOT NULL CONSTRAINT api_token_role_known CHECK (role IN ('admin', 'user', 'auditor')),
  token_hash text NOT NULL CONSTRAINT api_token_hash_unique UNIQUE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT api_token_org_id_unique UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX api_token_name_unique ON api_tokens (org_id, user_id, name) WHERE revoked_at IS NULL;
CREATE INDEX api_token_by_user ON api_tokens (user_id);

-- Who asked for a task: a session's user, or a token of theirs.
ALTER TABLE tasks ADD COLUMN actor_kind text NOT NULL DEFAULT 'user';

ALTER TABLE api_tokens ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON api_tokens USING (millwright_sees(org_id));

-- No org has any business here.
ALTER TABLE second_factors ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON second_factors USING (current_setting('millwright.system', true) = 'on');
ALTER TABLE recovery_codes ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON recovery_codes USING (current_setting('millwright.system', true) = 'on');
ALTER TABLE sign_in_challenges ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON sign_in_challenges USING (current_setting('millwright.system', true) = 'on');
