-- How asynchronous invocations of a function, a version or an alias are retried, and who hears of their end.
CREATE TABLE event_invoke_config (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    -- `$LATEST`, the number of a version or the name of an alias.
    qualifier TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of the rest.
    definition TEXT NOT NULL,
    PRIMARY KEY (function, qualifier)
) STRICT, WITHOUT ROWID;
