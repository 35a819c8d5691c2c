-- Which runtimes functions have, found one after the other without a look at the functions.
CREATE INDEX version_runtime ON version (definition ->> '$.runtime');
