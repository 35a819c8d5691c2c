-- Versions that wait for a snapshot have 2 in the column `unsettled`: not the control plane finishes them but whoever runs
-- functions. Those that were under way when this came keep their 1, and their snapshot is made when they are invoked.
CREATE INDEX version_awaits_snapshot ON version (function, number) WHERE unsettled = 2;
