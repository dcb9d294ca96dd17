-- +goose Up
-- People: memberships that can be suspended or come from single sign-on,
-- invitations with their mail, and accounts linked to an identity provider.

ALTER TABLE members ADD COLUMN disabled_at timestamptz;
-- Given by single sign-on, and taken away by it again.
ALTER TABLE members ADD COLUMN sso boolean NOT NULL DEFAULT false;

ALTER TABLE users ADD COLUMN last_sign_in_at timestamptz;

-- What the configuration gave last: a start doesn't undo what an admin changed.
CREATE TABLE configured_members (
  org_id text NOT NULL REFERENCES orgs (id),
  user_id text NOT NULL REFERENCES users (id),
  role text NOT NULL,
  PRIMARY KEY (org_id, user_id)
);

CREATE TABLE invitations (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  email text NOT NULL,
  role text NOT NULL CONSTRAINT invitation_role_known CHECK (role IN ('admin', 'user', 'auditor')),
  token_hash text NOT NULL CONSTRAINT invitation_token_unique UNIQUE,
  inviter_id text NOT NULL,
  inviter_name text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  redeemed_at timestamptz,
  redeemed_by text NOT NULL,
  withdrawn_at timestamptz,
  CONSTRAINT invitation_org_id_unique UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX invitation_one_open ON invitations (org_id, email) WHERE redeemed_at IS NULL AND withdrawn_at IS NULL;

-- Mail on its way. The body carries the invitation's token: it is sealed, and
-- emptied once the mail is gone.
CREATE TABLE mails (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  invitation_id text NOT NULL,
  recipient text NOT NULL,
  subject text NOT NULL,
  body bytea NOT NULL,
  tries bigint NOT NULL,
  problem text NOT NULL,
  created_at timestamptz NOT NULL,
  sent_at timestamptz,
  dropped_at timestamptz,
  CONSTRAINT mail_invitation_of_same_org FOREIGN KEY (org_id, invitation_id) REFERENCES invitations (org_id, id)
);
CREATE INDEX mail_by_invitation ON mails (invitation_id, id);
CREATE INDEX mail_by_org ON mails (org_id, created_at);

-- Who an account is at an identity provider: by issuer and subject, never by
-- an address.
CREATE TABLE identities (
  issuer text NOT NULL,
  subject text NOT NULL,
  user_id text NOT NULL REFERENCES users (id),
  email text NOT NULL,
  provider_role text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX identity_one_per_account ON identities (user_id, issuer);

-- What signing out at the identity provider needs, sealed.
ALTER TABLE sessions ADD COLUMN sso bytea;
ALTER TABLE sign_in_challenges ADD COLUMN sso bytea;

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON invitations USING (millwright_sees(org_id));
ALTER TABLE mails ENABLE ROW LEVEL SECURITY;
CREATE POLICY org_rows ON mails USING (millwright_sees(org_id));

-- No org has any business here.
ALTER TABLE configured_members ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON configured_members USING (millwright_is_system());
ALTER TABLE identities ENABLE ROW LEVEL SECURITY;
CREATE POLICY system_rows ON identities USING (millwright_is_system());
