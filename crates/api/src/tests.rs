//! Tests against the service model itself.
