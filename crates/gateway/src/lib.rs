//! The HTTP front: authenticate, route, call, map errors.
