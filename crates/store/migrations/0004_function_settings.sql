-- Executions that are kept for this function alone; none means that it shares the rest of the account.
ALTER TABLE function ADD COLUMN reserved_concurrency INTEGER;

-- The sum of them, kept by the triggers below.
ALTER TABLE usage ADD COLUMN reserved_concurrency INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER function_reserved AFTER UPDATE OF reserved_concurrency ON function BEGIN
    UPDATE usage
        SET reserved_concurrency =
            reserved_concurrency + ifnull(NEW.reserved_concurrency, 0) - ifnull(OLD.reserved_concurrency, 0)
        WHERE account = NEW.account AND region = NEW.region;
END;

CREATE TRIGGER function_released AFTER DELETE ON function WHEN OLD.reserved_concurrency > 0 BEGIN
    UPDATE usage SET reserved_concurrency = reserved_concurrency - OLD.reserved_concurrency
        WHERE account = OLD.account AND region = OLD.region;
END;

-- 1 when invocations that a function causes of itself are not to be stopped.
ALTER TABLE function ADD COLUMN allows_recursion INTEGER NOT NULL DEFAULT 0;

-- JSON of when the version gets another version of its runtime; none means whenever there is one.
ALTER TABLE version ADD COLUMN runtime_update TEXT;
