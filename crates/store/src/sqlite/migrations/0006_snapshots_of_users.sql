-- What a user keeps in snapshots is limited too; of older ones whose sandbox is
-- forgotten it is not known whose they were.
ALTER TABLE snapshots ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
UPDATE snapshots SET user_id = coalesce(
    (SELECT user_id FROM sandboxes WHERE sandboxes.id = snapshots.source), '');
CREATE INDEX snapshots_of_user ON snapshots (organization, user_id);
