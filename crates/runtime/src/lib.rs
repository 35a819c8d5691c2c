//! All that faces the guest: runtime catalogue, bootstraps and the Runtime API.
