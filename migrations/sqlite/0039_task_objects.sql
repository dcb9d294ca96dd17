-- +goose Up
-- A Task is about a machine, or about a network: what is left of a deleted one
-- in vSphere. One at a time for each. The tables are made anew, because SQLite
-- takes no NOT NULL away.

CREATE TABLE tasks_new (
  id text PRIMARY KEY,
  org_id text NOT NULL REFERENCES orgs (id),
  machine_id text,
  machine_name text NOT NULL,
  kind text NOT NULL,
  op text NOT NULL,
  state text NOT NULL CONSTRAINT task_state_known CHECK (state IN
    ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
  percent integer NOT NULL CONSTRAINT task_percent_in_range CHECK (percent BETWEEN 0 AND 100),
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
  created_at timestamp NOT NULL,
  started_at timestamp,
  finished_at timestamp,
  actor_kind text NOT NULL DEFAULT 'user',
  media text NOT NULL DEFAULT '',
  network_id text,
  CONSTRAINT task_org_id_unique UNIQUE (org_id, id),
  CONSTRAINT task_machine_of_same_org FOREIGN KEY (org_id, machine_id) REFERENCES machines (org_id, id),
  CONSTRAINT task_network_of_same_org FOREIGN KEY (org_id, network_id) REFERENCES networks (org_id, id),
  CONSTRAINT task_about_one_thing CHECK ((machine_id IS NULL) <> (network_id IS NULL))
);
CREATE TABLE task_steps_new (
  org_id text NOT NULL,
  task_id text NOT NULL,
  position integer NOT NULL,
  name text NOT NULL,
  title text NOT NULL,
  state text NOT NULL,
  percent integer NOT NULL,
  reference text NOT NULL,
  started_at timestamp,
  finished_at timestamp,
  PRIMARY KEY (task_id, position),
  CONSTRAINT step_task_of_same_org FOREIGN KEY (org_id, task_id) REFERENCES tasks_new (org_id, id)
);
CREATE TABLE task_logs_new (
  id text PRIMARY KEY,
  org_id text NOT NULL,
  task_id text NOT NULL,
  at timestamp NOT NULL,
  text text NOT NULL,
  CONSTRAINT log_task_of_same_org FOREIGN KEY (org_id, task_id) REFERENCES tasks_new (org_id, id)
);
INSERT INTO tasks_new SELECT id, org_id, machine_id, machine_name, kind, op, state, percent, waiting, error_code, error_text, detail, undone,
  actor_id, actor_name, session_id, source, request_id, retry_of, created_at, started_at, finished_at, actor_kind, media, NULL FROM tasks;
INSERT INTO task_steps_new SELECT org_id, task_id, position, name, title, state, percent, reference, started_at, finished_at FROM task_steps;
INSERT INTO task_logs_new SELECT id, org_id, task_id, at, text FROM task_logs;
DROP TABLE task_logs;
DROP TABLE task_steps;
DROP TABLE tasks;
ALTER TABLE tasks_new RENAME TO tasks;
ALTER TABLE task_steps_new RENAME TO task_steps;
ALTER TABLE task_logs_new RENAME TO task_logs;
CREATE UNIQUE INDEX task_one_active_per_machine ON tasks (machine_id) WHERE state IN ('queued', 'running', 'cancelling');
CREATE UNIQUE INDEX task_one_active_per_network ON tasks (network_id) WHERE state IN ('queued', 'running', 'cancelling');
CREATE INDEX task_by_machine ON tasks (machine_id, id);
CREATE INDEX task_by_network ON tasks (network_id, id) WHERE network_id IS NOT NULL;
CREATE INDEX task_by_age ON tasks (org_id, id);
CREATE INDEX task_active ON tasks (org_id, id) WHERE state IN ('queued', 'running', 'cancelling');
CREATE INDEX task_log_by_task ON task_logs (task_id, id);
