-- A layer. Its row stays when its last version is deleted, so that no number is used again.
CREATE TABLE layer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    last_published INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account, region, name)
) STRICT;

-- One version of a layer; nothing changes in it but its policy.
CREATE TABLE layer_version (
    layer INTEGER NOT NULL REFERENCES layer (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    created INTEGER NOT NULL,
    -- JSON of all that the publisher said about it.
    definition TEXT NOT NULL,
    -- JSON of the statements and their revision.
    policy TEXT NOT NULL,
    code_sha256 TEXT NOT NULL,
    code_bytes INTEGER NOT NULL,
    PRIMARY KEY (layer, number)
) STRICT;

CREATE INDEX layer_version_code ON layer_version (code_sha256);

-- The layers of a version of a function, in their order. They keep the package of a layer after the layer was deleted.
CREATE TABLE version_layer (
    function INTEGER NOT NULL,
    number INTEGER NOT NULL,
    position INTEGER NOT NULL,
    code_sha256 TEXT NOT NULL,
    PRIMARY KEY (function, number, position),
    FOREIGN KEY (function, number) REFERENCES version (function, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX version_layer_code ON version_layer (code_sha256);

-- Layers count to the same total as the packages of functions.
CREATE TRIGGER layer_version_added AFTER INSERT ON layer_version BEGIN
    INSERT INTO usage (account, region, code_bytes)
        SELECT account, region, NEW.code_bytes FROM layer WHERE id = NEW.layer
        ON CONFLICT (account, region) DO UPDATE SET code_bytes = code_bytes + NEW.code_bytes;
END;

CREATE TRIGGER layer_version_removed AFTER DELETE ON layer_version BEGIN
    UPDATE usage SET code_bytes = code_bytes - OLD.code_bytes
        FROM layer WHERE layer.id = OLD.layer
            AND usage.account = layer.account AND usage.region = layer.region;
END;
