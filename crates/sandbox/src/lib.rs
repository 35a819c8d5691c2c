//! An isolated process: namespaces, cgroups, seccomp and resource limits.
