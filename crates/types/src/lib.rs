//! Names, ids, ARNs, qualifiers, limits and the clock: values that cannot be wrong.
