//! The machine that figures were measured on.

use std::fs;

use serde::Serialize;

/// What decides how fast things are here.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu_model: String,
    pub(crate) kernel: String,
    pub(crate) memory_megabytes: u64,
    /// The load of the last minute before measuring: above a fraction of the cores, the machine was shared.
    pub(crate) load_before: f64,
    /// Seconds since 1970.
    pub(crate) measured_at: u64,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu_model: field("/proc/cpuinfo", "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_megabytes: kilobytes(&field("/proc/meminfo", "MemTotal")) / 1_024,
            load_before: load_average(),
            measured_at: now.map_or(0, |now| now.as_secs()),
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let Self { cores, cpu_model, kernel, memory_megabytes, load_before, .. } = self;
        format!(
            "{cores} cores, {cpu_model}, Linux {kernel}, {memory_megabytes} MB; load before measuring: {load_before:.2}"
        )
    }
}

/// The load of the last minute.
pub(crate) fn load_average() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The first value called `name` in a file of `name: value` lines; empty where there is none.
pub(crate) fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let value = fields.find(|(field, _)| field.trim() == name).map(|(_, value)| value.trim().to_owned());
    value.unwrap_or_default()
}

/// The number in a text such as `1234 kB`; zero where there is none.
pub(crate) fn kilobytes(text: &str) -> u64 {
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
