//! The firelet binary: configuration, the table of services, commands.
fn main() {}
