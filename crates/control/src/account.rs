//! The account of a caller: its limits and what it uses of them.

use firelet_api::model;
use firelet_types::Scope;

use crate::control::Control;
use crate::error::Error;

impl Control {
    /// The limits of the account in this Region and what it uses of them.
    ///
    /// See <https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get_account_settings(
        &self,
        scope: &Scope,
        _request: model::GetAccountSettingsRequest,
    ) -> Result<model::GetAccountSettingsResponse, Error> {
        let usage = self.store.functions().usage(scope)?;
        let concurrency = i32::try_from(self.quotas.concurrent_executions).unwrap_or(i32::MAX);
        let reserved = i32::try_from(usage.reserved_concurrency).unwrap_or(i32::MAX);
        // A limit that was lowered below what is reserved leaves nothing.
        let unreserved = concurrency.saturating_sub(reserved).max(0);
        Ok(model::GetAccountSettingsResponse {
            account_limit: Some(model::AccountLimit {
                total_code_size: Some(long(self.quotas.code_storage_bytes)),
                code_size_unzipped: Some(long(self.quotas.unzipped_bytes)),
                code_size_zipped: Some(long(self.quotas.zipped_bytes)),
                concurrent_executions: Some(concurrency),
                unreserved_concurrent_executions: Some(unreserved),
            }),
            account_usage: Some(model::AccountUsage {
                total_code_size: Some(long(usage.code_bytes)),
                function_count: Some(long(usage.functions)),
            }),
        })
    }
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
