-- How often the quota of an organization was written, by which a lost update is
-- refused.

ALTER TABLE organizations ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
