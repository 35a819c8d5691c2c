-- The URL of a function or of one of its aliases. It outlives the alias, and goes with the function.
CREATE TABLE function_url_config (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    -- The name of an alias; empty for the function itself.
    alias TEXT NOT NULL,
    -- The first label of the URL's host, by which a request finds its function.
    id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of all that a caller can configure.
    definition TEXT NOT NULL,
    PRIMARY KEY (function, alias)
) STRICT, WITHOUT ROWID;
