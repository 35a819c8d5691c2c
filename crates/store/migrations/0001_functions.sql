-- A function. Its versions, aliases and tags hang on its id, which no later function of the same name gets.
CREATE TABLE function (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Numbers of published versions are never used again, not even after the version was deleted.
    last_published INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, region, name)
) STRICT;

-- One version of a function; number 0 is $LATEST.
CREATE TABLE version (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    revision TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of the state and of the last update.
    status TEXT NOT NULL,
    -- 1 while the state is Pending or an update is in progress.
    unsettled INTEGER NOT NULL,
    -- JSON of all that a caller can configure.
    definition TEXT NOT NULL,
    code_sha256 TEXT NOT NULL,
    code_bytes INTEGER NOT NULL,
    PRIMARY KEY (function, number)
) STRICT;

CREATE INDEX version_unsettled ON version (function, number) WHERE unsettled = 1;
CREATE INDEX version_code ON version (code_sha256);

-- A name for a version, or for two with weights.
CREATE TABLE alias (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    revision TEXT NOT NULL,
    -- JSON of the description and the weights.
    definition TEXT NOT NULL,
    PRIMARY KEY (function, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX alias_version ON alias (function, number);

CREATE TABLE tag (
    function INTEGER NOT NULL REFERENCES function (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (function, key)
) STRICT, WITHOUT ROWID;

-- Totals of an account in a Region, kept by the triggers below so that reading them costs the same at any size.
CREATE TABLE usage (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    functions INTEGER NOT NULL DEFAULT 0,
    code_bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, region)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER function_added AFTER INSERT ON function BEGIN
    INSERT INTO usage (account, region, functions) VALUES (NEW.account, NEW.region, 1)
        ON CONFLICT (account, region) DO UPDATE SET functions = functions + 1;
END;

CREATE TRIGGER version_added AFTER INSERT ON version BEGIN
    UPDATE usage SET code_bytes = code_bytes + NEW.code_bytes
        FROM function WHERE function.id = NEW.function
            AND usage.account = function.account AND usage.region = function.region;
END;

CREATE TRIGGER version_resized AFTER UPDATE OF code_bytes ON version BEGIN
    UPDATE usage SET code_bytes = code_bytes + NEW.code_bytes - OLD.code_bytes
        FROM function WHERE function.id = NEW.function
            AND usage.account = function.account AND usage.region = function.region;
END;

CREATE TRIGGER version_removed AFTER DELETE ON version BEGIN
    UPDATE usage SET code_bytes = code_bytes - OLD.code_bytes
        FROM function WHERE function.id = OLD.function
            AND usage.account = function.account AND usage.region = function.region;
END;

-- Versions go first, while their function can still be found; the foreign key would remove them after it.
CREATE TRIGGER function_removed BEFORE DELETE ON function BEGIN
    DELETE FROM version WHERE function = OLD.id;
    UPDATE usage SET functions = functions - 1 WHERE account = OLD.account AND region = OLD.region;
END;
