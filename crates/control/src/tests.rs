//! The rules, on a real store in a fresh data directory. Texts of errors are those recorded from AWS where the
//! comment on a test says so.

mod harness;

mod alias;
mod capacity_provider;
mod code;
mod code_signing;
mod code_source;
mod concurrency;
mod configuration;
mod durability;
mod event_invoke_config;
mod function_fields;
mod function_url_config;
mod images;
mod layers;
mod list;
mod managed;
mod mappings;
mod names;
mod permissions;
mod provisioned_concurrency;
mod random;
mod random_mappings;
mod resource_policy;
mod settings;
mod snap_start;
mod states;
mod tags;
mod tenancy;
mod versions;
