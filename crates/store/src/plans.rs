//! No statement takes longer because more is stored: SQLite's plan of each goes by an index to the rows that are
//! wanted, and reads no table and no account whole.
//!
//! Every statement of the crate has to be run by [`run_everything`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use firelet_types::{CodeSha256, FunctionUrlId, Ids, LayerArn, MappingId, Qualifier, RequestId, Timestamp};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::capacity_provider::{self, CapacityProviderEditor, CapacityProviderState};
use crate::code_signing::{CodeSigningConfigs, CodeSigningDefinition, CodeSigningEntry};
use crate::database::{Database, watch};
use crate::definition::{Code, Layer};
use crate::event::{EventId, NewEvent, Progress};
use crate::function::tests::{record, scope};
use crate::function::{
    Alias, Allocation, Entry, EventInvokeConfig, FunctionUrlConfig, FunctionUrlDefinition, InvokeMode,
    Listing, PolicyResource, ProvisionedConcurrency, RuntimeUpdate, Scaling, UrlAuthentication,
};
use crate::layer::{LayerDefinition, LayerEntry, LayerFilter, LayerPolicy};
use crate::mapping::{Editor, EventSource, Mapping, MappingState, Rest, Selection, Settings};
use crate::{
    Blobs, CapacityProviders, Changes, Definition, Error, Events, FunctionVersion, Functions, Layers,
    Mappings, Version,
};

/// Steps of plans that read more than what is wanted, and why each may.
const ALLOWED: [(&str, &str); 9] = [
    ("SCAN CONSTANT ROW", "no row at all"),
    ("SCAN version USING INDEX version_unsettled", "the index holds nothing but unfinished updates"),
    ("SCAN version USING INDEX version_awaits_snapshot", "the same of versions that wait for a snapshot"),
    ("SCAN event_source_mapping USING INDEX event_source_mapping_unsettled", "the same of mappings"),
    ("SCAN capacity_provider USING INDEX capacity_provider_unsettled", "the same of capacity providers"),
    (
        "SEARCH capacity_provider USING PRIMARY KEY (account=? AND region=?)",
        "an account has few, and they are counted only when one is made",
    ),
    ("SCAN version_layer", "all layers of functions are wanted, once when the server starts"),
    ("SCAN provisioned_concurrency", "all that is provisioned is wanted, when something of it changed"),
    ("SCAN json_each VIRTUAL TABLE INDEX 3:", "the list of one layer version"),
];

/// Sources whose statements are none that run while the server serves.
const SOURCES_WITHOUT: [&str; 3] = ["migration.rs", "plans.rs", "tests.rs"];

#[tokio::test]
async fn no_statement_reads_a_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let seen = watch::Statements::default();
    let database = Arc::new(watch::open(&folder.path().join("test.db"), &seen));
    run_everything(&database, folder.path()).await;
    // Lines that begin like a comment tell of a trigger, whose plan is part of that of its statement.
    let statements: Vec<String> =
        seen.lock().iter().filter(|statement| !statement.starts_with("--")).cloned().collect();
    for statement in statements_in_sources() {
        let is_seen = statements.iter().any(|seen| fits(seen, &statement));
        assert!(is_seen, "`run_everything` does not run: {statement}");
    }
    let explained = database.write(move |connection| explain(connection, statements));
    for (statement, step) in explained.await.unwrap() {
        let is_allowed = ALLOWED.iter().any(|(allowed, _)| step == *allowed);
        assert!(is_allowed || !reads_more(&step), "{step}\nis part of the plan of\n{statement}");
    }
}

/// Whether a step goes through a table, or through all that an account has in a Region.
fn reads_more(step: &str) -> bool {
    let is_of_account = step.ends_with("(account=? AND region=?)") && !step.starts_with("SEARCH usage ");
    step.starts_with("SCAN ") || is_of_account || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
}

/// Each statement with each step of its plan, and of the plans of the triggers that it fires.
fn explain(connection: &Connection, statements: Vec<String>) -> Result<Vec<(String, String)>, Error> {
    let error = || Error::database("explain a statement");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRIGGER_EQP, true).map_err(error())?;
    let mut explained = Vec::new();
    for statement in statements {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).map_err(error())?;
        // Where the program of a trigger begins, there is a step without a text.
        let steps = plan.raw_query().mapped(|row| row.get::<_, Option<String>>("detail"));
        let steps = steps.collect::<Result<Vec<_>, _>>().map_err(error())?;
        explained.extend(steps.into_iter().flatten().map(|step| (statement.clone(), step)));
    }
    Ok(explained)
}

/// The statements that stand in the sources, with holes where something is put in.
fn statements_in_sources() -> Vec<String> {
    let mut statements = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !SOURCES_WITHOUT.iter().any(|name| path.ends_with(name)) {
                statements.extend(statements_in(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(statements.len() > 40, "only {} statements found", statements.len());
    statements
}

fn statements_in(source: &str) -> Vec<String> {
    let is_statement = |text: &&str| {
        ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM "].iter().any(|verb| text.starts_with(verb))
    };
    source.split('"').filter(is_statement).map(words).collect()
}

/// Whether a statement is one of the sources with its holes filled.
fn fits(statement: &str, source: &str) -> bool {
    let mut rest = words(statement);
    source.split('{').map(|part| part.split_once('}').map_or(part, |(_, text)| text)).all(|part| {
        let Some(place) = rest.find(part) else { return false };
        rest.drain(..place + part.len());
        true
    })
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn run_everything(database: &Arc<Database>, folder: &Path) {
    run_functions(&Functions::new(Arc::clone(database))).await;
    run_layers(&Layers::new(Arc::clone(database))).await;
    run_mappings(&Mappings::new(Arc::clone(database))).await;
    run_code_signing(&CodeSigningConfigs::new(Arc::clone(database)), &Functions::new(Arc::clone(database)))
        .await;
    run_events(
        &Events::new(Arc::clone(database), Arc::new(Changes::new())),
        &Functions::new(Arc::clone(database)),
    )
    .await;
    run_capacity_providers(&CapacityProviders::new(Arc::clone(database))).await;
    let blobs = Blobs::local(folder, Arc::clone(database)).unwrap();
    blobs.put(Bytes::from_static(b"a")).await.unwrap();
}

async fn run_functions(functions: &Functions) {
    let name = "echo".parse().unwrap();
    let change = |entry: &mut Entry<'_>| -> Result<(), Error> {
        change_versions(entry)?;
        change_names(entry)?;
        entry.set_tags(&BTreeMap::from([("key".to_owned(), "value".to_owned())]))?;
        entry.set_reservation(Some(1))?;
        provision(entry)?;
        entry.set_allows_recursion(true)?;
        entry.set_runtime_update(Version::Latest, &RuntimeUpdate::FunctionUpdate)?;
        entry.set_scaling(Version::Published(1), Some(Scaling::default()))?;
        entry
            .versions_on(&capacity_provider::tests::provider("pool", CapacityProviderState::Active).arn())?;
        entry.tags().and(entry.usage()).and(entry.reservations()).map(drop)
    };
    functions.update(&scope(), &name, change).await.unwrap();
    functions.get(&scope(), &name, Version::Latest).unwrap().unwrap();
    for listing in [Listing::Latest, Listing::All] {
        functions.list(&scope(), listing, None, 10).unwrap();
    }
    functions.versions(&scope(), &name, None, 10).unwrap();
    functions.tags(&scope(), &name).unwrap();
    functions.usage(&scope()).unwrap();
    functions.unsettled().unwrap();
    functions.awaiting_snapshots().unwrap();
    functions.runtimes().unwrap();
    functions.layer_lists().unwrap();
    functions.alias(&scope(), &name, "live").unwrap();
    functions.aliases(&scope(), &name, None, None, 10).unwrap();
    functions.allows_recursion(&scope(), &name).unwrap();
    functions.runtime_update(&scope(), &name, Version::Latest).unwrap();
    functions.reservations(&scope(), &name).unwrap();
    functions.provisioned_concurrency(&scope(), &name, &Qualifier::Version(1)).unwrap();
    functions.provisioned_concurrencies(&scope(), &name, None, 10).unwrap();
    functions.provisioned_revision().unwrap();
    functions.provisioned_versions().unwrap();
    functions.scaling(&scope(), &name, Version::Published(1)).unwrap();
    functions.policy(&scope(), &name, &PolicyResource::Function).unwrap();
    functions.event_invoke_config(&scope(), &name, &Qualifier::Latest).unwrap();
    functions.event_invoke_configs(&scope(), &name, None, 10).unwrap();
    functions.function_url_configs(&scope(), &name, None, 10).unwrap();
    let delete = |entry: &mut Entry<'_>| -> Result<(), Error> {
        entry.delete_function_url_config(None)?;
        entry.delete_version(Version::Published(1))?;
        entry.delete_alias("live")?;
        entry.delete()
    };
    functions.update(&scope(), &name, delete).await.unwrap();
}

fn change_versions(entry: &mut Entry<'_>) -> Result<(), Error> {
    let blank = record("echo", Version::Latest, 10);
    let layer = Layer { arn: layer_arn().version(1), code: code() };
    let definition = Definition { layers: vec![layer], ..blank.definition.clone() };
    let latest = FunctionVersion { definition, ..blank };
    entry.put(&latest)?;
    entry.put(&FunctionVersion { version: Version::Published(1), ..latest })?;
    entry.version(Version::Latest)?;
    entry.layer_version(&layer_arn().version(1)).map(drop)
}

fn change_names(entry: &mut Entry<'_>) -> Result<(), Error> {
    let alias = Alias {
        name: "live".to_owned(),
        version: Version::Published(1),
        revision: record("echo", Version::Latest, 10).revision,
        description: String::new(),
        weights: BTreeMap::new(),
    };
    entry.put_alias(&alias)?;
    entry.alias("live")?;
    entry.aliases()?;
    entry.set_policy(&PolicyResource::Function, Some("{}"))?;
    entry.policy(&PolicyResource::Function)?;
    let config = EventInvokeConfig {
        qualifier: Qualifier::Latest,
        last_modified: now(),
        maximum_retry_attempts: Some(1),
        maximum_event_age_seconds: None,
        on_success: None,
        on_failure: None,
    };
    entry.put_event_invoke_config(&config)?;
    entry.event_invoke_config(&Qualifier::Latest)?;
    change_url(entry)
}

fn change_url(entry: &mut Entry<'_>) -> Result<(), Error> {
    let definition = FunctionUrlDefinition {
        authentication: UrlAuthentication::None,
        invoke_mode: InvokeMode::Buffered,
        cors: None,
    };
    let id = FunctionUrlId::new(&Ids::system());
    let config = FunctionUrlConfig { alias: None, id, created: now(), last_modified: now(), definition };
    entry.put_function_url_config(&config)?;
    entry.function_url_config(None).map(drop)
}

fn provision(entry: &mut Entry<'_>) -> Result<(), Error> {
    let record = ProvisionedConcurrency {
        qualifier: Qualifier::Version(1),
        version: 1,
        requested: 1,
        last_modified: now(),
        allocation: Allocation::default(),
    };
    entry.put_provisioned_concurrency(&record)?;
    entry.provisioned_concurrencies()?;
    entry.provisioned_concurrency(&record.qualifier).map(drop)
}

async fn run_layers(layers: &Layers) {
    let definition = LayerDefinition {
        description: String::new(),
        license: None,
        runtimes: Some(vec!["python3.13".to_owned()]),
        architectures: None,
        code: code(),
        code_object: None,
    };
    let publish = |entry: &mut LayerEntry<'_>| {
        entry.publish(definition, now())?;
        entry.set_policy(1, &LayerPolicy::default())?;
        entry.version(1).and(entry.usage())
    };
    layers.update::<_, Error, _>(&layer_arn(), publish).await.unwrap();
    layers.get(&layer_arn().version(1)).unwrap().unwrap();
    layers.list(&scope(), &LayerFilter::default(), None, 10).unwrap();
    layers.versions(&layer_arn(), &LayerFilter::default(), None, 10).unwrap();
    let delete = |entry: &mut LayerEntry<'_>| entry.delete_version(1);
    layers.update::<_, Error, _>(&layer_arn(), delete).await.unwrap();
}

async fn run_events(events: &Events, functions: &Functions) {
    let put = |entry: &mut Entry<'_>| entry.put(&record("queued", Version::Latest, 10));
    functions.update::<_, Error, _>(&scope(), &"queued".parse().unwrap(), put).await.unwrap();
    let event = NewEvent {
        scope: scope(),
        function: "queued".parse().unwrap(),
        qualifier: None,
        request_id: RequestId::new(&Ids::system()),
        accepted: now(),
        tenant: None,
        trace_header: None,
        payload: Bytes::from_static(b"{}"),
    };
    assert!(events.put(event).await.unwrap());
    let (last, lanes) = events.lanes().unwrap();
    events.arrivals(EventId(0)).unwrap();
    events.waiting(lanes[0].lane, 10).unwrap();
    events.get(last).unwrap().unwrap();
    events.postpone(last, Progress::default(), now()).await.unwrap();
    events.end(last, None).await.unwrap();
}

async fn run_mappings(mappings: &Mappings) {
    let mapping = Mapping {
        scope: scope(),
        id: MappingId::new(&Ids::system()),
        function: "echo".parse().unwrap(),
        qualifier: None,
        source: EventSource::Queue { arn: "arn:queue".to_owned() },
        settings: Settings::default(),
        state: MappingState::Settled(Rest::Enabled),
        last_modified: now(),
    };
    let id = mapping.id;
    let change = move |editor: &mut Editor<'_>| {
        editor.function(&mapping.function)?;
        editor.put(&mapping)?;
        editor.set_tags(id, &BTreeMap::from([("key".to_owned(), "value".to_owned())]))?;
        editor.tags(id)?;
        editor.get(id)?;
        editor.of_function(&mapping.function)
    };
    mappings.update::<_, Error, _>(&scope(), change).await.unwrap();
    mappings.get(&scope(), id).unwrap().unwrap();
    for function in [None, Some(("echo".parse().unwrap(), None))] {
        for source_arn in [None, Some("arn:queue".to_owned())] {
            let selection = Selection { function: function.clone(), source_arn };
            mappings.list(&scope(), &selection, None, 10).unwrap();
        }
    }
    mappings.tags(&scope(), id).unwrap();
    mappings.unsettled().unwrap();
    let delete = move |editor: &mut Editor<'_>| editor.delete(id);
    mappings.update::<_, Error, _>(&scope(), delete).await.unwrap();
}

async fn run_capacity_providers(providers: &CapacityProviders) {
    let provider = capacity_provider::tests::provider("pool", CapacityProviderState::Active);
    let (name, arn) = (provider.name.clone(), provider.arn());
    let put = move |editor: &mut CapacityProviderEditor<'_>| {
        editor.put(&provider)?;
        editor.get(&provider.name).and(editor.versions(&provider.name, 1)).and(editor.count())
    };
    providers.update::<_, Error, _>(&scope(), put).await.unwrap();
    providers.get(&scope(), &name).unwrap().unwrap();
    providers.list(&scope(), None, None, 10).unwrap();
    providers.versions(&arn, None, 10).unwrap();
    providers.unsettled().unwrap();
    let delete = move |editor: &mut CapacityProviderEditor<'_>| editor.delete(&name);
    providers.update::<_, Error, _>(&scope(), delete).await.unwrap();
}

async fn run_code_signing(configs: &CodeSigningConfigs, functions: &Functions) {
    let id = "csc-00000000000000000".parse().unwrap();
    let definition = CodeSigningDefinition {
        description: None,
        publishers: Vec::new(),
        untrusted_artifact: Default::default(),
        tags: BTreeMap::new(),
    };
    let put = move |entry: &mut CodeSigningEntry<'_>| {
        entry.put(now(), &definition)?;
        entry.config().and(entry.functions(1))
    };
    configs.update::<_, Error, _>(&scope(), &id, put).await.unwrap();
    let name = "signed".parse().unwrap();
    let attached = id.clone();
    let attach = move |entry: &mut Entry<'_>| {
        entry.put(&record("signed", Version::Latest, 10))?;
        entry.set_code_signing(Some(&attached))?;
        entry.code_signing().and(entry.code_signing_config(&attached))
    };
    functions.update::<_, Error, _>(&scope(), &name, attach).await.unwrap();
    functions.code_signing(&scope(), &name).unwrap();
    configs.get(&scope(), &id).unwrap().unwrap();
    configs.list(&scope(), None, 10).unwrap();
    configs.functions(&scope(), &id, None, 10).unwrap();
    let delete = |entry: &mut CodeSigningEntry<'_>| entry.delete();
    configs.update::<_, Error, _>(&scope(), &id, delete).await.unwrap();
}

fn layer_arn() -> LayerArn {
    LayerArn { scope: scope(), name: "layer".parse().unwrap() }
}

fn code() -> Code {
    Code { sha256: CodeSha256::from_bytes([7; 32]), size_bytes: 10, unzipped_bytes: 10 }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_123)
}
