-- What a quota counts: those of a user that live, and those started of late.
CREATE INDEX live_sandboxes_of_user ON sandboxes (organization, user_id) WHERE is_over = 0;
CREATE INDEX sandboxes_by_start ON sandboxes (organization, created_at, user_id);
