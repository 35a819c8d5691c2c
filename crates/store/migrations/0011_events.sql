-- Asynchronous invocations that were accepted and have not ended. They go with their function.
CREATE TABLE event (
    -- In the order of acceptance, and never used again: who has seen one has seen all before it.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    -- When it is to be tried next.
    due INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    -- How often the function ran for it, and how often it could not be run since.
    invocations INTEGER NOT NULL DEFAULT 0,
    setbacks INTEGER NOT NULL DEFAULT 0,
    -- The version or alias as the caller wrote it; null when the caller named none.
    qualifier TEXT,
    request_id TEXT NOT NULL,
    tenant TEXT,
    trace_header TEXT,
    -- Last, so that the rest is read without it.
    payload BLOB NOT NULL
) STRICT;

CREATE INDEX event_due ON event (function, due);
