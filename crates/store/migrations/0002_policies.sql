-- Who else may use a function, a version or an alias.
CREATE TABLE policy (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    -- The number of a version or the name of an alias; empty for the function itself.
    qualifier TEXT NOT NULL,
    -- The whole policy as JSON.
    document TEXT NOT NULL,
    PRIMARY KEY (function, qualifier)
) STRICT, WITHOUT ROWID;
