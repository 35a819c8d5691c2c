//! A control plane of one's own, and one way to compare what it answers.

use std::io::{Cursor, Write};
use std::sync::Arc;

use bytes::Bytes;
use firelet_api::model;
use firelet_store::Store;
use firelet_store::function::{Entry, Reason};
use firelet_types::clock::ManualClock;
use firelet_types::{AccountId, Ids, Region, Scope, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::code_source::CodeSource;
use crate::{Control, Error, Options, Quotas};

pub(super) const BASE_URL: &str = "http://127.0.0.1:4566";
pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/r";

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) control: Arc<Control>,
    pub(super) scope: Scope,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_quotas(Quotas::default())
    }

    pub(super) fn with_quotas(quotas: Quotas) -> Self {
        Self::with(quotas, None)
    }

    pub(super) fn with(quotas: Quotas, code_source: Option<CodeSource>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_123)));
        let control = Arc::new(open(&folder, &clock, quotas, code_source));
        let scope = Scope { account: AccountId::local(), region: Region::local() };
        Self { folder, clock, control, scope }
    }

    /// Closes the store and opens it again.
    pub(super) fn restart(self) -> Self {
        let Self { folder, clock, control, scope } = self;
        drop(control);
        let control = Arc::new(open(&folder, &clock, Quotas::default(), None));
        Self { folder, clock, control, scope }
    }

    /// A function of this name, active.
    pub(super) async fn with_function(self, name: &str) -> Self {
        self.create(json!({ "FunctionName": name })).await.unwrap();
        self.control.settle().await.unwrap();
        self
    }

    pub(super) async fn create(&self, members: Value) -> Result<Value, Error> {
        let request = request(merge(
            json!({
                "Runtime": "python3.12", "Handler": "app.handler", "Role": ROLE,
                "Code": { "ZipFile": encoded(&package("app.py", b"1")) },
            }),
            &members,
        ));
        self.control.create_function(&self.scope, request).await.map(answer)
    }

    pub(super) async fn get(&self, name: &str, qualifier: Option<&str>) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "Qualifier": qualifier }));
        self.control.get_function_configuration(&self.scope, request).await.map(answer)
    }

    pub(super) async fn get_function(&self, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name }));
        self.control.get_function(&self.scope, request, BASE_URL).await.map(answer)
    }

    pub(super) async fn configure(&self, members: Value) -> Result<Value, Error> {
        let request = request(members);
        self.control.update_function_configuration(&self.scope, request).await.map(answer)
    }

    pub(super) async fn update_code(&self, members: Value) -> Result<Value, Error> {
        self.control.update_function_code(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn delete(&self, name: &str, qualifier: Option<&str>) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": name, "Qualifier": qualifier }));
        self.control.delete_function(&self.scope, request).await.map(answer)
    }

    pub(super) async fn list(&self, members: Value) -> Result<Value, Error> {
        self.control.list_functions(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn publish(&self, members: Value) -> Result<Value, Error> {
        let published = self.control.publish_version(&self.scope, request(members)).await;
        self.control.settle().await?;
        published.map(answer)
    }

    /// Tells the store that every version has its snapshot that waits for one, or failed.
    pub(super) async fn settle_snapshots(&self, failure: Option<Reason>) {
        let functions = self.control.store.functions();
        for seen in functions.awaiting_snapshots().unwrap() {
            let (failure, revision) = (failure.clone(), self.control.new_revision());
            let (scope, name) = (seen.scope.clone(), seen.name.clone());
            let settle = move |entry: &mut Entry<'_>| entry.settle_snapshot(&seen, failure, revision);
            functions.update::<_, firelet_store::Error, _>(&scope, &name, settle).await.unwrap();
        }
    }

    pub(super) async fn list_versions(&self, members: Value) -> Result<Value, Error> {
        self.control.list_versions_by_function(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn create_alias(&self, members: Value) -> Result<Value, Error> {
        self.control.create_alias(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn update_alias(&self, members: Value) -> Result<Value, Error> {
        self.control.update_alias(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn get_alias(&self, function: &str, name: &str) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": function, "Name": name }));
        self.control.get_alias(&self.scope, request).await.map(answer)
    }

    pub(super) async fn list_aliases(&self, members: Value) -> Result<Value, Error> {
        self.control.list_aliases(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn delete_alias(&self, function: &str, name: &str) -> Result<(), Error> {
        let request = request(json!({ "FunctionName": function, "Name": name }));
        self.control.delete_alias(&self.scope, request).await
    }

    /// Adds a permission; gives its statement.
    pub(super) async fn permit(&self, members: Value) -> Result<Value, Error> {
        let added = self.control.add_permission(&self.scope, request(members)).await?;
        Ok(serde_json::from_str(&added.statement.unwrap()).unwrap())
    }

    pub(super) async fn forbid(&self, members: Value) -> Result<(), Error> {
        self.control.remove_permission(&self.scope, request(members)).await
    }

    pub(super) async fn policy(&self, function: &str, qualifier: Option<&str>) -> Result<Value, Error> {
        let request = request(json!({ "FunctionName": function, "Qualifier": qualifier }));
        self.control.get_policy(&self.scope, request).await.map(answer)
    }

    pub(super) async fn put_resource_policy(&self, members: Value) -> Result<Value, Error> {
        self.control.put_resource_policy(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn resource_policy(&self, arn: &str) -> Result<Value, Error> {
        let request = request(json!({ "ResourceArn": arn }));
        self.control.get_resource_policy(&self.scope, request).await.map(answer)
    }

    pub(super) async fn delete_resource_policy(&self, members: Value) -> Result<(), Error> {
        self.control.delete_resource_policy(&self.scope, request(members)).await
    }

    pub(super) async fn put_event_invoke_config(&self, members: Value) -> Result<Value, Error> {
        self.control.put_function_event_invoke_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn update_event_invoke_config(&self, members: Value) -> Result<Value, Error> {
        self.control.update_function_event_invoke_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn get_event_invoke_config(&self, members: Value) -> Result<Value, Error> {
        self.control.get_function_event_invoke_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn delete_event_invoke_config(&self, members: Value) -> Result<(), Error> {
        self.control.delete_function_event_invoke_config(&self.scope, request(members)).await
    }

    pub(super) async fn list_event_invoke_configs(&self, members: Value) -> Result<Value, Error> {
        self.control.list_function_event_invoke_configs(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn create_url(&self, members: Value) -> Result<Value, Error> {
        self.control.create_function_url_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn update_url(&self, members: Value) -> Result<Value, Error> {
        self.control.update_function_url_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn get_url(&self, members: Value) -> Result<Value, Error> {
        self.control.get_function_url_config(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn delete_url(&self, members: Value) -> Result<(), Error> {
        self.control.delete_function_url_config(&self.scope, request(members)).await
    }

    pub(super) async fn list_urls(&self, members: Value) -> Result<Value, Error> {
        self.control.list_function_url_configs(&self.scope, request(members)).await.map(answer)
    }

    pub(super) async fn usage(&self) -> Value {
        let request = model::GetAccountSettingsRequest {};
        answer(self.control.get_account_settings(&self.scope, request).await.unwrap())["AccountUsage"].clone()
    }
}

fn open(
    folder: &tempfile::TempDir,
    clock: &Arc<ManualClock>,
    quotas: Quotas,
    code_source: Option<CodeSource>,
) -> Control {
    let data_directory = folder.path().join("data");
    let store = Arc::new(Store::open(&firelet_store::Options { data_directory }).unwrap());
    let options =
        Options { clock: Arc::clone(clock) as _, ids: Arc::new(Ids::system()), quotas, code_source };
    Control::new(store, options).unwrap()
}

pub(super) fn request<T: DeserializeOwned>(members: Value) -> T {
    serde_json::from_value(members).unwrap()
}

pub(super) fn answer(response: impl Serialize) -> Value {
    serde_json::to_value(response).unwrap()
}

fn merge(mut base: Value, members: &Value) -> Value {
    for (key, value) in members.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

pub(super) fn package(name: &str, content: &[u8]) -> Bytes {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, SimpleFileOptions::default()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner().into()
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

/// Checks that `found` has every member of `expected` with its value; a null means that the member is absent.
#[track_caller]
pub(super) fn check(found: &Value, expected: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(found.get(key).unwrap_or(&Value::Null), value, "{key} of {found:#}");
    }
}

/// Checks the variant of an error by its start in `Debug`, and its text.
#[track_caller]
pub(super) fn check_error<T: std::fmt::Debug>(result: Result<T, Error>, variant: &str, text: &str) {
    let error = result.unwrap_err();
    assert!(format!("{error:?}").starts_with(variant), "{error:?} is no {variant}");
    assert_eq!(error.message().as_deref().unwrap_or("null"), text);
}
