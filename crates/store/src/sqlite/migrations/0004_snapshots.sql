-- Outlives the sandbox that it was taken of. `digest` to `file_bytes` are there
-- once it is known what the snapshot consists of.
CREATE TABLE snapshots (
    id              TEXT   NOT NULL PRIMARY KEY,
    organization    TEXT   NOT NULL REFERENCES organizations (id),
    source          TEXT   NOT NULL,
    mount_bytes     BIGINT NOT NULL,
    caused_by       TEXT   NOT NULL,
    idempotency_key TEXT   NOT NULL,
    bucket          TEXT   NOT NULL,
    status          TEXT   NOT NULL,
    status_reason   TEXT   NOT NULL,
    digest          TEXT,
    bytes           BIGINT,
    file_bytes      BIGINT,
    stop_grace_ms   BIGINT,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    completed_at    BIGINT
);
CREATE INDEX snapshots_of_organization ON snapshots (organization, id);
CREATE INDEX snapshots_by_content ON snapshots (organization, bucket, digest);
CREATE INDEX unfinished_snapshots ON snapshots (id)
    WHERE status IN ('creating', 'deleting') OR stop_grace_ms IS NOT NULL;
CREATE UNIQUE INDEX snapshots_by_key ON snapshots (organization, idempotency_key)
    WHERE idempotency_key <> '';

-- Where an organization keeps its snapshots, if not in the server's own store.
CREATE TABLE snapshot_buckets (
    organization TEXT NOT NULL PRIMARY KEY REFERENCES organizations (id),
    bucket       TEXT NOT NULL,
    region       TEXT NOT NULL
);
