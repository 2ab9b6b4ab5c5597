-- How many changes each organization has, and up to which they are forgotten: whoever
-- watches one learns nothing of the others. Places that were handed out before counted
-- the changes of all; each of them lies before the first one that is handed out now.

CREATE TABLE organization_feeds (
    organization TEXT   NOT NULL PRIMARY KEY,
    head         BIGINT NOT NULL,
    pruned       BIGINT NOT NULL
);
INSERT INTO organization_feeds (organization, head, pruned)
    SELECT organizations.id, feed.head, feed.head FROM organizations CROSS JOIN feed;

ALTER TABLE changes ADD COLUMN place BIGINT NOT NULL DEFAULT 0;
CREATE INDEX changes_of_organization ON changes (organization, place);
