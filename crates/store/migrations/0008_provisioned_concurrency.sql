-- Executions that are kept initialised for a version.
CREATE TABLE provisioned_concurrency (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    -- The number of a version or the name of an alias.
    qualifier TEXT NOT NULL,
    -- The version that this is, or that the alias names.
    number INTEGER NOT NULL,
    requested INTEGER NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of how far the server is with it; null until it has said anything.
    allocation TEXT,
    PRIMARY KEY (function, qualifier)
) STRICT, WITHOUT ROWID;

-- One row: how often the table above has changed, so that whoever follows it need not read it after every commit.
CREATE TABLE provisioned_concurrency_revision (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO provisioned_concurrency_revision (id, revision) VALUES (1, 0);

-- The sum of what is requested for a function, kept by the triggers below.
ALTER TABLE function ADD COLUMN provisioned_concurrency INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER provisioned_concurrency_added AFTER INSERT ON provisioned_concurrency BEGIN
    UPDATE function SET provisioned_concurrency = provisioned_concurrency + NEW.requested WHERE id = NEW.function;
    UPDATE provisioned_concurrency_revision SET revision = revision + 1 WHERE id = 1;
END;

CREATE TRIGGER provisioned_concurrency_changed AFTER UPDATE ON provisioned_concurrency BEGIN
    UPDATE function SET provisioned_concurrency = provisioned_concurrency + NEW.requested - OLD.requested
        WHERE id = NEW.function AND NEW.requested <> OLD.requested;
    UPDATE provisioned_concurrency_revision SET revision = revision + 1 WHERE id = 1;
END;

CREATE TRIGGER provisioned_concurrency_removed AFTER DELETE ON provisioned_concurrency BEGIN
    UPDATE function SET provisioned_concurrency = provisioned_concurrency - OLD.requested WHERE id = OLD.function;
    UPDATE provisioned_concurrency_revision SET revision = revision + 1 WHERE id = 1;
END;

-- From here on the total of an account counts what is set aside for its functions: what a function reserves, or, where
-- it reserves nothing, what is provisioned for it.
DROP TRIGGER function_reserved;
DROP TRIGGER function_released;

CREATE TRIGGER function_reserved AFTER UPDATE OF reserved_concurrency, provisioned_concurrency ON function BEGIN
    UPDATE usage
        SET reserved_concurrency = reserved_concurrency
            + ifnull(NEW.reserved_concurrency, NEW.provisioned_concurrency)
            - ifnull(OLD.reserved_concurrency, OLD.provisioned_concurrency)
        WHERE account = NEW.account AND region = NEW.region;
END;

CREATE TRIGGER function_released AFTER DELETE ON function BEGIN
    UPDATE usage
        SET reserved_concurrency = reserved_concurrency
            - ifnull(OLD.reserved_concurrency, OLD.provisioned_concurrency)
        WHERE account = OLD.account AND region = OLD.region;
END;
