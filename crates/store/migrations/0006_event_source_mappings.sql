-- What polls an event source for a function. It names its function and does not hang on it: deleting a function
-- leaves its mappings where they are.
CREATE TABLE event_source_mapping (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    uuid TEXT NOT NULL,
    function TEXT NOT NULL,
    -- The version or alias as the caller wrote it; null when the caller named none.
    qualifier TEXT,
    -- Null for Kafka clusters that are known by their servers.
    source_arn TEXT,
    last_modified INTEGER NOT NULL,
    -- JSON of the state.
    state TEXT NOT NULL,
    -- 1 while the state is one that passes.
    unsettled INTEGER NOT NULL,
    -- JSON of the source and of all that a caller can configure.
    definition TEXT NOT NULL,
    PRIMARY KEY (account, region, uuid)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_source_mapping_function ON event_source_mapping (account, region, function, uuid);
CREATE INDEX event_source_mapping_source ON event_source_mapping (account, region, source_arn, uuid);
CREATE INDEX event_source_mapping_unsettled ON event_source_mapping (account, region, uuid) WHERE unsettled = 1;

CREATE TABLE event_source_mapping_tag (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, region, uuid, key),
    FOREIGN KEY (account, region, uuid) REFERENCES event_source_mapping (account, region, uuid) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
