-- +goose Up
-- Your account: the second factor with its recovery codes, the moment between
-- password and code, and API tokens.

CREATE TABLE second_factors (
  user_id text PRIMARY KEY REFERENCES users (id),
  secret blob NOT NULL,
  last_step integer NOT NULL,
  created_at timestamp NOT NULL,
  confirmed_at timestamp
);

CREATE TABLE recovery_codes (
  user_id text NOT NULL REFERENCES second_factors (user_id),
  hash text NOT NULL,
  used_at timestamp,
  PRIMARY KEY (user_id, hash)
);

CREATE TABLE sign_in_challenges (
  token_hash text PRIMARY KEY,
  user_id text NOT NULL REFERENCES users (id),
  created_at timestamp NOT NULL,
  expires_at timestamp NOT NULL
);
CREATE INDEX sign_in_challenge_by_user ON sign_in_challenges (user_id);

CREATE TABLE api_tokens (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  name text NOT NULL,
  role text NOT NULL CONSTRAINT api_token_role_known CHECK (role IN ('admin', 'user', 'auditor')),
  token_hash text NOT NULL CONSTRAINT api_token_hash_unique UNIQUE,
  created_at timestamp NOT NULL,
  expires_at timestamp NOT NULL,
  last_used_at timestamp,
  revoked_at timestamp,
  CONSTRAINT api_token_org_id_unique UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX api_token_name_unique ON api_tokens (org_id, user_id, name) WHERE revoked_at IS NULL;
CREATE INDEX api_token_by_user ON api_tokens (user_id);

-- Who asked for a task: a session's user, or a token of theirs.
ALTER TABLE tasks ADD COLUMN actor_kind text NOT NULL DEFAULT 'user';
