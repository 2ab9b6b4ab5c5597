-- Sandboxes are listed by what their profile is called, too, and outlive it.
CREATE INDEX profile_revisions_by_name ON profile_revisions (organization, display_name);
