-- +goose Up
-- A ceiling on what is being done at once in each org: queued, running or
-- cancelling tasks. Orgs that are there get the usual one.
INSERT INTO quotas (org_id, resource, ceiling, used)
SELECT o.id, 'tasks', 200,
  (SELECT COUNT(*) FROM tasks t WHERE t.org_id = o.id AND t.state IN ('queued', 'running', 'cancelling'))
FROM orgs o;
