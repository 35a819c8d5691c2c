//! The limits of an account, as settings.

use firelet_types::limits;

/// How much an account may use in a Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of the deployment packages of all versions.
    pub code_storage_bytes: u64,
    /// Bytes of a package that comes with the request.
    pub zipped_bytes: u64,
    /// Bytes of a package once unpacked.
    pub unzipped_bytes: u64,
    /// Executions at one time.
    pub concurrent_executions: u32,
    /// The most memory of a function, in MB.
    pub memory_megabytes: u32,
    /// The longest timeout of a function, in seconds.
    pub timeout_seconds: u32,
    /// The largest `/tmp` of a function, in MB.
    pub ephemeral_storage_megabytes: u32,
}

impl Default for Quotas {
    /// The quotas of an AWS account.
    fn default() -> Self {
        Self {
            code_storage_bytes: limits::CODE_STORAGE_BYTES,
            zipped_bytes: limits::ZIPPED_CODE_BYTES as u64,
            unzipped_bytes: limits::UNZIPPED_CODE_BYTES,
            concurrent_executions: limits::CONCURRENT_EXECUTIONS,
            memory_megabytes: 10_240,
            timeout_seconds: 900,
            ephemeral_storage_megabytes: 10_240,
        }
    }
}
