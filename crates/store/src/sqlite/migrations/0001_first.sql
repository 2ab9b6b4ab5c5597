-- Everything that the store keeps, in types that other databases have too.
-- Instants are microseconds since the epoch; ids are hyphenated UUIDs, whose
-- order as text is their order; documents are JSON.

CREATE TABLE organizations (
    id         TEXT   NOT NULL PRIMARY KEY,
    quota      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL REFERENCES organizations (id),
    hash         BLOB   NOT NULL,
    kind         TEXT   NOT NULL CHECK (kind IN ('caller', 'runner')),
    user_id      TEXT,
    role         TEXT,
    cluster      TEXT,
    description  TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    CHECK ((kind = 'caller' AND user_id IS NOT NULL AND role IS NOT NULL AND cluster IS NULL)
        OR (kind = 'runner' AND user_id IS NULL AND role IS NULL AND cluster IS NOT NULL))
);
CREATE INDEX tokens_of_organization ON tokens (organization, id);

CREATE TABLE profiles (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL REFERENCES organizations (id),
    display_name TEXT   NOT NULL,
    description  TEXT   NOT NULL,
    labels       TEXT   NOT NULL,
    spec         TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (organization, display_name)
);

-- Outlives the profile, so that there is no reference to it.
CREATE TABLE profile_revisions (
    organization TEXT   NOT NULL REFERENCES organizations (id),
    id           TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    display_name TEXT   NOT NULL,
    description  TEXT   NOT NULL,
    labels       TEXT   NOT NULL,
    spec         TEXT   NOT NULL,
    written_by   TEXT   NOT NULL,
    written_at   BIGINT NOT NULL,
    PRIMARY KEY (id, revision)
);

-- Outlives the runner that made it known.
CREATE TABLE clusters (
    id           TEXT NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL REFERENCES organizations (id),
    name         TEXT NOT NULL,
    UNIQUE (organization, name)
);

CREATE TABLE runners (
    uid            TEXT   NOT NULL PRIMARY KEY,
    organization   TEXT   NOT NULL REFERENCES organizations (id),
    id             TEXT   NOT NULL,
    display_name   TEXT   NOT NULL,
    zone           TEXT   NOT NULL,
    cluster        TEXT   NOT NULL UNIQUE REFERENCES clusters (id),
    runner_group   TEXT   NOT NULL,
    settings       TEXT   NOT NULL,
    bindings       TEXT   NOT NULL,
    revision       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleting_since BIGINT,
    UNIQUE (organization, id)
);

-- Which profiles the bindings of a runner name. The list itself is one document
-- of the runner; these rows are what keeps a bound profile from being deleted.
CREATE TABLE bound_profiles (
    runner  TEXT NOT NULL REFERENCES runners (uid),
    profile TEXT NOT NULL REFERENCES profiles (id),
    PRIMARY KEY (runner, profile)
);
CREATE INDEX bound_profiles_by_profile ON bound_profiles (profile);

CREATE TABLE runner_revisions (
    organization TEXT   NOT NULL REFERENCES organizations (id),
    uid          TEXT   NOT NULL,
    revision     BIGINT NOT NULL,
    id           TEXT   NOT NULL,
    display_name TEXT   NOT NULL,
    zone         TEXT   NOT NULL,
    runner_group TEXT   NOT NULL,
    settings     TEXT   NOT NULL,
    bindings     TEXT   NOT NULL,
    written_by   TEXT   NOT NULL,
    written_at   BIGINT NOT NULL,
    PRIMARY KEY (uid, revision)
);

-- Outlives its runner and its profile. `runner_uid` to `profile_name` repeat
-- what is in the record, to filter by; `phase` and `ended_at` what is in the
-- status.
CREATE TABLE sandboxes (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL REFERENCES organizations (id),
    user_id      TEXT   NOT NULL,
    runner_uid   TEXT   NOT NULL,
    runner_id    TEXT   NOT NULL,
    profile_id   TEXT   NOT NULL,
    profile_name TEXT   NOT NULL,
    record       TEXT   NOT NULL,
    phase        TEXT   NOT NULL,
    is_over      BIGINT NOT NULL,
    status       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX sandboxes_of_organization ON sandboxes (organization, id);
CREATE INDEX live_sandboxes_of_organization ON sandboxes (organization, id) WHERE is_over = 0;
CREATE INDEX live_sandboxes_of_runner ON sandboxes (runner_uid, id) WHERE is_over = 0;
CREATE INDEX ended_sandboxes ON sandboxes (ended_at) WHERE is_over = 1;

CREATE TABLE sandbox_tags (
    sandbox TEXT NOT NULL REFERENCES sandboxes (id),
    tag     TEXT NOT NULL,
    PRIMARY KEY (sandbox, tag)
);

-- May be secrets; rows go when the sandbox is over.
CREATE TABLE sandbox_files (
    sandbox  TEXT   NOT NULL REFERENCES sandboxes (id),
    position BIGINT NOT NULL,
    path     TEXT   NOT NULL,
    content  BLOB   NOT NULL,
    PRIMARY KEY (sandbox, position)
);

CREATE TABLE changes (
    sequence     BIGINT NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL,
    subject      TEXT   NOT NULL,
    subject_id   TEXT
);

-- One row: the number of the newest change, and of the newest that is forgotten.
CREATE TABLE feed (
    one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    head   BIGINT NOT NULL,
    pruned BIGINT NOT NULL
);
INSERT INTO feed (one, head, pruned) VALUES (1, 0, 0);
