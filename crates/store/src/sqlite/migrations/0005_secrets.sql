-- Secrets that the server keeps itself. Values are sealed: the key is not in
-- the database. An empty field is the secret itself.

CREATE TABLE secret_stores (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL REFERENCES organizations (id),
    name         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (organization, name)
);

CREATE TABLE secrets (
    store      TEXT   NOT NULL REFERENCES secret_stores (id),
    path       TEXT   NOT NULL,
    field      TEXT   NOT NULL,
    key_id     TEXT   NOT NULL,
    sealed     BLOB   NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (store, path, field)
);
