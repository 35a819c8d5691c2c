-- Run each time a database is opened: the execution environments of the server before are gone.
UPDATE provisioned_concurrency SET allocation = NULL WHERE allocation IS NOT NULL;
