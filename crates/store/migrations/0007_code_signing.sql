-- Whose code functions take.
CREATE TABLE code_signing_config (
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    id TEXT NOT NULL,
    last_modified INTEGER NOT NULL,
    -- JSON of the description, the publishers, the policy and the tags.
    definition TEXT NOT NULL,
    PRIMARY KEY (account, region, id)
) STRICT, WITHOUT ROWID;

-- The configuration that a function is under; one that a function is under is not deleted.
ALTER TABLE function ADD COLUMN code_signing_config TEXT;

CREATE INDEX function_code_signing ON function (account, region, code_signing_config, name)
    WHERE code_signing_config IS NOT NULL;
