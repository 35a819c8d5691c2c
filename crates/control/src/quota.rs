//! The limits of an account, as settings. Their defaults and the reasons for them stand in `policy/quotas.txt`.
//!
//! Limits that AWS gives nobody more of are no settings; they are constants of `firelet_types::limits`.

use std::str::FromStr;

const DEFAULTS: &str = include_str!("../../../policy/quotas.txt");
const UNLIMITED: &str = "unlimited";

/// How much an account may use in a Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Functions.
    pub functions: u64,
    /// Executions at one time.
    pub concurrent_executions: u32,
    /// Executions that reserved concurrency must leave to the functions without any.
    pub unreserved_concurrency_minimum: u32,
    /// Execution environments that may be made of one function in 10 seconds.
    pub function_scaling: u32,
    /// Execution environments that may be made of all functions at once.
    pub account_scaling_burst: u32,
    /// Execution environments that may be made of all functions each minute after that.
    pub account_scaling_minute: u32,
    /// Capacity providers.
    pub capacity_providers: u64,
    /// Bytes of the deployment packages of all versions.
    pub code_storage_bytes: u64,
    /// Bytes of a package that comes with the request.
    pub zipped_bytes: u64,
    /// Bytes of a package once unpacked.
    pub unzipped_bytes: u64,
    /// The most memory of a function, in MB.
    pub memory_megabytes: u32,
    /// The longest timeout of a function, in seconds.
    pub timeout_seconds: u32,
    /// The largest `/tmp` of a function, in MB.
    pub ephemeral_storage_megabytes: u32,
}

/// One quota with its value: what `NAME=VALUE` says.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    field: Field,
    value: u64,
}

/// Why a text names no quota with its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaError {
    /// Not of the form `NAME=VALUE`.
    #[error("write it as NAME=VALUE")]
    Form,
    /// There is no such quota.
    #[error("there is no such quota; the quotas are {}", FIELDS.map(|(name, _)| name).join(", "))]
    Name,
    /// The value is no number, or too large a one.
    #[error("give a whole number up to {most}, or {UNLIMITED}")]
    Value {
        /// The largest number.
        most: u64,
    },
}

/// Where a quota is kept.
#[derive(Debug, Clone, Copy)]
enum Field {
    Small(fn(&mut Quotas) -> &mut u32),
    Large(fn(&mut Quotas) -> &mut u64),
}

const FIELDS: [(&str, Field); 13] = [
    ("functions", Field::Large(|quotas| &mut quotas.functions)),
    ("concurrent-executions", Field::Small(|quotas| &mut quotas.concurrent_executions)),
    ("unreserved-concurrency-minimum", Field::Small(|quotas| &mut quotas.unreserved_concurrency_minimum)),
    ("function-scaling", Field::Small(|quotas| &mut quotas.function_scaling)),
    ("account-scaling-burst", Field::Small(|quotas| &mut quotas.account_scaling_burst)),
    ("account-scaling-minute", Field::Small(|quotas| &mut quotas.account_scaling_minute)),
    ("capacity-providers", Field::Large(|quotas| &mut quotas.capacity_providers)),
    ("code-storage-bytes", Field::Large(|quotas| &mut quotas.code_storage_bytes)),
    ("zipped-code-bytes", Field::Large(|quotas| &mut quotas.zipped_bytes)),
    ("unzipped-code-bytes", Field::Large(|quotas| &mut quotas.unzipped_bytes)),
    ("memory-megabytes", Field::Small(|quotas| &mut quotas.memory_megabytes)),
    ("timeout-seconds", Field::Small(|quotas| &mut quotas.timeout_seconds)),
    ("ephemeral-storage-megabytes", Field::Small(|quotas| &mut quotas.ephemeral_storage_megabytes)),
];

impl Quotas {
    /// Puts `quota` in place of what was there.
    pub fn set(&mut self, quota: Quota) {
        match quota.field {
            Field::Small(field) => *field(self) = u32::try_from(quota.value).unwrap_or(u32::MAX),
            Field::Large(field) => *field(self) = quota.value,
        }
    }
}

impl Default for Quotas {
    /// The quotas of an AWS account.
    fn default() -> Self {
        let mut quotas = Self {
            functions: 0,
            concurrent_executions: 0,
            unreserved_concurrency_minimum: 0,
            function_scaling: 0,
            account_scaling_burst: 0,
            account_scaling_minute: 0,
            capacity_providers: 0,
            code_storage_bytes: 0,
            zipped_bytes: 0,
            unzipped_bytes: 0,
            memory_megabytes: 0,
            timeout_seconds: 0,
            ephemeral_storage_megabytes: 0,
        };
        for (name, value) in default_values() {
            quotas.set(Quota::new(name, value).expect("a test reads every line of the file"));
        }
        quotas
    }
}

impl Quota {
    fn new(name: &str, value: &str) -> Result<Self, QuotaError> {
        let (_, field) = FIELDS.into_iter().find(|(known, _)| *known == name).ok_or(QuotaError::Name)?;
        let most = match field {
            Field::Small(_) => u32::MAX.into(),
            Field::Large(_) => u64::MAX,
        };
        let value = if value == UNLIMITED { Some(most) } else { value.parse().ok() };
        let value = value.filter(|value| *value <= most).ok_or(QuotaError::Value { most })?;
        Ok(Self { field, value })
    }
}

impl FromStr for Quota {
    type Err = QuotaError;

    fn from_str(text: &str) -> Result<Self, QuotaError> {
        let (name, value) = text.split_once('=').ok_or(QuotaError::Form)?;
        Self::new(name, value)
    }
}

/// Name and value of each line of the file.
fn default_values() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = DEFAULTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" : ")?.0.split_once(" = "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_file_has_one_good_line_for_each_quota() {
        let lines = DEFAULTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.count(), FIELDS.len());
        let names: BTreeSet<_> = default_values().map(|(name, _)| name).collect();
        assert_eq!(names, FIELDS.map(|(name, _)| name).into());
        for (name, value) in default_values() {
            assert!(Quota::new(name, value).is_ok(), "{name} = {value}");
        }
    }

    #[test]
    fn each_quota_has_a_place_of_its_own() {
        let changed = FIELDS.map(|(name, _)| {
            let mut quotas = Quotas::default();
            quotas.set(format!("{name}=7").parse().unwrap());
            format!("{quotas:?}")
        });
        assert_eq!(BTreeSet::from(changed).len(), FIELDS.len());
    }

    #[test]
    fn a_quota_is_read_from_its_name_and_value() {
        let mut quotas = Quotas::default();
        quotas.set("functions=3".parse().unwrap());
        quotas.set("concurrent-executions=unlimited".parse().unwrap());
        assert_eq!((quotas.functions, quotas.concurrent_executions), (3, u32::MAX));
        for (text, expected) in [
            ("functions", QuotaError::Form),
            ("=1", QuotaError::Name),
            ("functions ", QuotaError::Form),
            ("Functions=1", QuotaError::Name),
            ("functions=", QuotaError::Value { most: u64::MAX }),
            ("functions=-1", QuotaError::Value { most: u64::MAX }),
            ("functions=1k", QuotaError::Value { most: u64::MAX }),
            ("memory-megabytes=4294967296", QuotaError::Value { most: u32::MAX.into() }),
        ] {
            assert_eq!(text.parse::<Quota>().unwrap_err(), expected, "{text}");
        }
    }
}
