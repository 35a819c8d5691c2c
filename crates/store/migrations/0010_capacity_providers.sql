-- What functions of Lambda Managed Instances run on.
CREATE TABLE capacity_provider (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of the state.
    state TEXT NOT NULL,
    -- 1 while the state is one that passes.
    unsettled INTEGER NOT NULL,
    -- JSON of all that a caller can configure, and of the tags.
    definition TEXT NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX capacity_provider_unsettled ON capacity_provider (account, region, name) WHERE unsettled = 1;

-- The ARN of the capacity provider that the version is configured with; one that a version names is not deleted.
ALTER TABLE version ADD COLUMN capacity_provider TEXT;

CREATE INDEX version_capacity_provider ON version (capacity_provider, function, number)
    WHERE capacity_provider IS NOT NULL;

-- JSON of how many execution environments the version is to have; none means as many as are needed.
ALTER TABLE version ADD COLUMN scaling TEXT;
