-- Until when the sandboxes of a runner that is being deleted may end by themselves.
ALTER TABLE runners ADD COLUMN drain_until BIGINT;
