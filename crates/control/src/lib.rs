//! The rules for functions, their code and their tags.
