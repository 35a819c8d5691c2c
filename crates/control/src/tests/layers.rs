//! Layers. Texts as recorded in localstack's `tests/aws/services/lambda_/test_lambda_api.snapshot.json`,
//! `TestLambdaLayer`; those of refused accounts, of sizes and of long policies as public issue reports quote them
//! (aws-otel-community #1063, ffmpeg-aws-lambda-layer #23, helix-deploy #24).

use firelet_types::{AccountId, Region, Scope};
use serde_json::{Value, json};

use super::harness::{BASE_URL, World, answer, check, check_error, encoded, package, request};
use crate::{Error, Quotas};

const LAYER: &str = "arn:aws:lambda:us-east-1:000000000000:layer:l";
const GONE: &str = "The resource you requested does not exist.";
const BELOW_ONE: &str = "Layer Version Cannot be less than 1";

impl World {
    pub(super) async fn publish_layer(&self, members: Value) -> Result<Value, Error> {
        let mut all = json!({
            "LayerName": "l", "Content": { "ZipFile": encoded(&package("a.txt", b"1")) },
        });
        for (key, value) in members.as_object().unwrap() {
            all[key] = value.clone();
        }
        self.control.publish_layer_version(&self.scope, request(all), BASE_URL).await.map(answer)
    }

    pub(super) async fn layer(&self, name: &str, number: i64) -> Result<Value, Error> {
        let request = request(json!({ "LayerName": name, "VersionNumber": number }));
        self.control.get_layer_version(&self.scope, request, BASE_URL).await.map(answer)
    }

    async fn layer_by_arn(&self, arn: &str) -> Result<Value, Error> {
        let request = request(json!({ "Arn": arn }));
        self.control.get_layer_version_by_arn(&self.scope, request, BASE_URL).await.map(answer)
    }

    async fn delete_layer(&self, name: &str, number: i64) -> Result<(), Error> {
        let request = request(json!({ "LayerName": name, "VersionNumber": number }));
        self.control.delete_layer_version(&self.scope, request).await
    }

    async fn layers(&self, members: Value) -> Result<Value, Error> {
        self.control.list_layers(&self.scope, request(members)).await.map(answer)
    }

    async fn layer_versions(&self, members: Value) -> Result<Value, Error> {
        self.control.list_layer_versions(&self.scope, request(members)).await.map(answer)
    }

    async fn permit_layer(&self, members: Value) -> Result<Value, Error> {
        let mut all = json!({
            "LayerName": "l", "VersionNumber": 1, "StatementId": "s1", "Action": "lambda:GetLayerVersion",
            "Principal": "*",
        });
        for (key, value) in members.as_object().unwrap() {
            all[key] = value.clone();
        }
        self.control.add_layer_version_permission(&self.scope, request(all)).await.map(answer)
    }

    async fn layer_policy(&self, name: &str, number: i64) -> Result<Value, Error> {
        let request = request(json!({ "LayerName": name, "VersionNumber": number }));
        self.control.get_layer_version_policy(&self.scope, request).await.map(answer)
    }

    async fn forbid_layer(
        &self,
        name: &str,
        number: i64,
        id: &str,
        revision: Option<&str>,
    ) -> Result<(), Error> {
        let request = request(json!({
            "LayerName": name, "VersionNumber": number, "StatementId": id, "RevisionId": revision,
        }));
        self.control.remove_layer_version_permission(&self.scope, request).await
    }

    /// The same store, seen by another account or from another Region.
    fn seen_by(&self, account: &str, region: &str) -> (Scope, Scope) {
        let scope = Scope { account: account.parse().unwrap(), region: region.parse().unwrap() };
        (scope, self.scope.clone())
    }
}

fn arns(page: &Value, list: &str) -> Vec<String> {
    let items = page[list].as_array().unwrap().iter();
    items
        .map(|item| item.get("LatestMatchingVersion").unwrap_or(item)["LayerVersionArn"].as_str().unwrap())
        .map(|arn| arn.rsplit_once(":layer:").unwrap().1.to_owned())
        .collect()
}

#[tokio::test]
async fn a_version_is_what_was_published() {
    let world = World::new();
    let zip = package("a.txt", b"1");
    let members = json!({
        "Description": "words", "LicenseInfo": "MIT", "CompatibleRuntimes": ["python3.12", "nodejs14.x"],
        "CompatibleArchitectures": ["arm64"],
    });
    let published = world.publish_layer(members.clone()).await.unwrap();
    check(&published, &members);
    check(
        &published,
        &json!({
            "LayerArn": LAYER, "LayerVersionArn": format!("{LAYER}:1"), "Version": 1,
            "CreatedDate": "2023-11-14T22:13:20.123+0000",
        }),
    );
    check(&published["Content"], &json!({ "CodeSize": zip.len() }));
    let world = world.restart();
    for found in [
        world.layer("l", 1).await.unwrap(),
        world.layer(LAYER, 1).await.unwrap(),
        world.layer_by_arn(&format!("{LAYER}:1")).await.unwrap(),
    ] {
        assert_eq!(found, published);
    }
    let location = published["Content"]["Location"].as_str().unwrap().strip_prefix(BASE_URL).unwrap();
    let (path, query) = location.split_once('?').unwrap();
    let download = world.control.open_code_link(path, query).await.unwrap();
    assert_eq!(download.size_bytes, zip.len() as u64);
}

#[tokio::test]
async fn what_was_not_said_is_not_shown() {
    let world = World::new();
    let bare = world.publish_layer(json!({})).await.unwrap();
    check(
        &bare,
        &json!({
            "Description": "", "LicenseInfo": null, "CompatibleRuntimes": null, "CompatibleArchitectures": null,
        }),
    );
    let empty = json!({ "CompatibleRuntimes": [], "CompatibleArchitectures": [] });
    check(&world.publish_layer(empty.clone()).await.unwrap(), &empty);
}

#[tokio::test]
async fn numbers_are_never_used_again_and_deletion_is_idempotent() {
    let world = World::new();
    for number in 1..=2 {
        check(&world.publish_layer(json!({})).await.unwrap(), &json!({ "Version": number }));
    }
    for number in [2, 2, 1, 9] {
        world.delete_layer("l", number).await.unwrap();
    }
    world.delete_layer("none", 1).await.unwrap();
    assert_eq!(
        world.layer_versions(json!({ "LayerName": "l" })).await.unwrap(),
        json!({ "LayerVersions": [] })
    );
    assert_eq!(world.layers(json!({})).await.unwrap(), json!({ "Layers": [] }));
    check_error(world.layer("l", 1).await, "Layer(Missing", GONE);
    check(&world.publish_layer(json!({})).await.unwrap(), &json!({ "Version": 3 }));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    for (name, number) in [("l", 2), ("none", 1), ("arn:aws:lambda:eu-west-1:000000000000:layer:l", 1)] {
        check_error(world.layer(name, number).await, "Layer(Missing", GONE);
    }
    for number in [0, -1] {
        check_error(world.layer("l", number).await, "Layer(VersionNumber", BELOW_ONE);
        check_error(world.delete_layer("l", number).await, "Layer(VersionNumber", BELOW_ONE);
        check_error(world.layer_policy("l", number).await, "Layer(VersionNumber", BELOW_ONE);
    }
    for arn in [&format!("{LAYER}:2"), "arn:aws:lambda:::awslayer:AmazonLinux1803"] {
        check_error(world.layer_by_arn(arn).await, "Layer(Missing", GONE);
    }
    let none = world.layer_versions(json!({ "LayerName": "none" })).await.unwrap();
    assert_eq!(none, json!({ "LayerVersions": [] }));
}

#[tokio::test]
async fn content_is_held_to_the_rules_of_code() {
    let world = World::with_quotas(Quotas { unzipped_bytes: 2_000, ..Quotas::default() });
    let broken = "Could not unzip uploaded file. Please check your file, then try to upload again.";
    let large = "Unzipped size must be smaller than 2000 bytes";
    let zeros = package("zeros", &[0; 2_000]);
    for (zip, text) in [(b"not a zip".as_slice(), broken), (&package("../x", b""), broken), (&zeros, large)] {
        let content = json!({ "Content": { "ZipFile": encoded(zip) } });
        check_error(world.publish_layer(content).await, "InvalidParameter", text);
    }
    assert_eq!(world.layers(json!({})).await.unwrap(), json!({ "Layers": [] }));
}

#[tokio::test]
async fn layers_count_to_the_code_of_the_account() {
    let size = package("a.txt", b"1").len() as u64;
    let world = World::with_quotas(Quotas { code_storage_bytes: 2 * size, ..Quotas::default() });
    for _ in 0..2 {
        world.publish_layer(json!({})).await.unwrap();
    }
    let text = "Code storage limit exceeded.";
    check_error(world.publish_layer(json!({})).await, "CodeStorageExceeded", text);
    check(&world.usage().await, &json!({ "FunctionCount": 0, "TotalCodeSize": 2 * size }));
    world.delete_layer("l", 1).await.unwrap();
    check(&world.usage().await, &json!({ "TotalCodeSize": size }));
}

#[tokio::test]
async fn lists_go_page_by_page_and_filter() {
    let world = World::new();
    for (name, runtime) in [
        ("b", "python3.12"),
        ("a", "python3.12"),
        ("b", "nodejs20.x"),
        ("c", "nodejs20.x"),
        ("b", "python3.12"),
    ] {
        let members = json!({
            "LayerName": name, "CompatibleRuntimes": [runtime], "CompatibleArchitectures": ["x86_64"],
        });
        world.publish_layer(members).await.unwrap();
    }
    let all = world.layers(json!({})).await.unwrap();
    check(&all["Layers"][0], &json!({ "LayerName": "a", "LayerArn": LAYER.replace(":layer:l", ":layer:a") }));
    for (filter, expected) in [
        (json!({}), vec!["a:1", "b:3", "c:1"]),
        (json!({ "CompatibleRuntime": "nodejs20.x" }), vec!["b:2", "c:1"]),
        (json!({ "CompatibleArchitecture": "arm64" }), vec![]),
        (
            json!({ "CompatibleArchitecture": "x86_64", "CompatibleRuntime": "python3.12" }),
            vec!["a:1", "b:3"],
        ),
    ] {
        let mut seen = Vec::new();
        let mut marker = Value::Null;
        loop {
            let mut members = filter.clone();
            members["MaxItems"] = json!(1);
            members["Marker"] = marker;
            let page = world.layers(members).await.unwrap();
            seen.extend(arns(&page, "Layers"));
            match page.get("NextMarker") {
                Some(next) => marker = next.clone(),
                None => break,
            }
        }
        assert_eq!(seen, expected, "{filter}");
    }
    let first = world.layer_versions(json!({ "LayerName": "b", "MaxItems": 2 })).await.unwrap();
    assert_eq!(arns(&first, "LayerVersions"), ["b:3", "b:2"]);
    world.delete_layer("b", 2).await.unwrap();
    world.publish_layer(json!({ "LayerName": "b" })).await.unwrap();
    let marker = &first["NextMarker"];
    let rest = world.layer_versions(json!({ "LayerName": "b", "Marker": marker })).await.unwrap();
    assert_eq!(arns(&rest, "LayerVersions"), ["b:1"]);
    let filtered = json!({ "LayerName": "b", "CompatibleRuntime": "nodejs20.x" });
    assert_eq!(world.layer_versions(filtered).await.unwrap(), json!({ "LayerVersions": [] }));
}

#[tokio::test]
async fn markers_of_other_lists_are_refused() {
    let world = World::new();
    for name in ["a", "a", "b"] {
        world.publish_layer(json!({ "LayerName": name })).await.unwrap();
    }
    let page = world.layers(json!({ "MaxItems": 1 })).await.unwrap();
    let marker = page["NextMarker"].clone();
    let text = "Invalid Marker";
    for members in [
        json!({ "Marker": "" }),
        json!({ "Marker": "x" }),
        json!({ "Marker": marker, "CompatibleRuntime": "python3.12" }),
    ] {
        check_error(world.layers(members).await, "InvalidParameter", text);
    }
    let members = json!({ "LayerName": "a", "Marker": marker });
    check_error(world.layer_versions(members).await, "InvalidParameter", text);
    let page = world.layer_versions(json!({ "LayerName": "a", "MaxItems": 1 })).await.unwrap();
    let members = json!({ "LayerName": "b", "Marker": page["NextMarker"] });
    check_error(world.layer_versions(members).await, "InvalidParameter", text);
}

/// Checks that CreateFunction and UpdateFunctionConfiguration refuse these layers in these words.
async fn check_refused(world: &World, layers: &[&str], variant: &str, text: &str) {
    let new = json!({ "FunctionName": "new", "Layers": layers });
    check_error(world.create(new).await, variant, text);
    let there = json!({ "FunctionName": "there", "Layers": layers });
    check_error(world.configure(there).await, variant, text);
}

#[tokio::test]
async fn a_function_has_only_layers_that_go_together() {
    let world = World::new().with_function("there").await;
    for name in ["l", "l", "m"] {
        world.publish_layer(json!({ "LayerName": name })).await.unwrap();
    }
    let [first, second] = [1, 2].map(|number| format!("{LAYER}:{number}"));
    let same = |one: &str, other: &str| {
        format!(
            "Two different versions of the same layer are not allowed to be referenced in the same function. {one} \
             and {other} are versions of the same layer."
        )
    };
    check_refused(&world, &[&first, &second], "Layer(SameLayer", &same(&first, &second)).await;
    check_refused(&world, &[&first, &first], "Layer(SameLayer", &same(&first, &first)).await;
    let six = [first.as_str(); 6];
    check_refused(&world, &six, "InvalidParameter", "Cannot reference more than 5 layers.").await;
    let text =
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.";
    let elsewhere = "arn:aws:lambda:eu-west-1:000000000000:layer:l:1";
    check_refused(&world, &[elsewhere], "InvalidParameter", text).await;
    for missing in
        [&format!("{LAYER}:9"), &format!("{LAYER}x:1"), "arn:aws:lambda:::awslayer:AmazonLinux1803"]
    {
        let text = format!("Layer version {missing} does not exist.");
        check_refused(&world, &[&first, missing], "InvalidParameter", &text).await;
    }
}

#[tokio::test]
async fn a_function_keeps_a_layer_that_was_deleted() {
    let world = World::new();
    let size = world.publish_layer(json!({})).await.unwrap()["Content"]["CodeSize"].clone();
    let arn = format!("{LAYER}:1");
    let created = world.create(json!({ "FunctionName": "echo", "Layers": [arn] })).await.unwrap();
    let shown = json!([{ "Arn": arn, "CodeSize": size }]);
    assert_eq!(created["Layers"], shown);
    world.control.settle().await.unwrap();
    world.delete_layer("l", 1).await.unwrap();
    let updated = world.configure(json!({ "FunctionName": "echo", "Timeout": 9 })).await.unwrap();
    assert_eq!(updated["Layers"], shown);
    let world = world.restart();
    world.control.settle().await.unwrap();
    assert_eq!(world.get("echo", None).await.unwrap()["Layers"], shown);
    let again = json!({ "FunctionName": "echo", "Layers": [arn] });
    let text = format!("Layer version {arn} does not exist.");
    check_error(world.configure(again).await, "InvalidParameter", &text);
    let cleared = world.configure(json!({ "FunctionName": "echo", "Layers": [] })).await.unwrap();
    check(&cleared, &json!({ "Layers": null }));
}

#[tokio::test]
async fn a_function_and_its_layers_are_bounded_together() {
    let world = World::with_quotas(Quotas { unzipped_bytes: 2_000, ..Quotas::default() });
    for name in ["l", "m"] {
        let content = json!({ "ZipFile": encoded(&package("zeros", &[0; 1_000])) });
        world.publish_layer(json!({ "LayerName": name, "Content": content })).await.unwrap();
    }
    let [one, other] = ["l", "m"].map(|name| LAYER.replace(":layer:l", &format!(":layer:{name}:1")));
    let text = "Function code combined with layers exceeds the maximum allowed size of 2000 bytes. The actual size \
                is 2001 bytes.";
    let both = json!([one, other]);
    let code = |size: usize| json!({ "ZipFile": encoded(&package("app.py", &vec![0; size])) });
    let refused = json!({ "FunctionName": "new", "Layers": both, "Code": code(1) });
    check_error(world.create(refused).await, "Layer(CombinedSize", text);
    let taken = json!({ "FunctionName": "echo", "Layers": [one], "Code": code(1_000) });
    world.create(taken).await.unwrap();
    world.control.settle().await.unwrap();
    let grown = json!({ "FunctionName": "echo", "ZipFile": code(1_001)["ZipFile"] });
    check_error(world.update_code(grown).await, "Layer(CombinedSize", text);
    let text = text.replace("2001", "3000");
    let more = json!({ "FunctionName": "echo", "Layers": both });
    check_error(world.configure(more).await, "Layer(CombinedSize", &text);
}

#[tokio::test]
async fn permissions_are_added_shown_and_taken_back() {
    let world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    let none = "No policy is associated with the given resource.";
    check_error(world.layer_policy("l", 1).await, "Layer(NoPolicy", none);
    check_error(world.forbid_layer("l", 1, "s1", None).await, "Layer(NoPolicy", none);
    let first = world.permit_layer(json!({})).await.unwrap();
    let statement = format!(
        r#"{{"Sid":"s1","Effect":"Allow","Principal":"*","Action":"lambda:GetLayerVersion","Resource":"{LAYER}:1"}}"#
    );
    assert_eq!(first["Statement"], statement);
    let document = format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{statement}]}}"#);
    let shown = json!({ "Policy": document, "RevisionId": first["RevisionId"] });
    assert_eq!(world.layer_policy("l", 1).await.unwrap(), shown);
    let second = world
        .permit_layer(json!({
            "StatementId": "s2", "Principal": "123456789012", "OrganizationId": "o-0123456789",
            "RevisionId": first["RevisionId"],
        }))
        .await
        .unwrap();
    let statement: Value = serde_json::from_str(second["Statement"].as_str().unwrap()).unwrap();
    check(
        &statement,
        &json!({
            "Principal": { "AWS": "arn:aws:iam::123456789012:root" },
            "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-0123456789" } },
        }),
    );
    assert_ne!(second["RevisionId"], first["RevisionId"]);
    let world = world.restart();
    world.forbid_layer("l", 1, "s2", second["RevisionId"].as_str()).await.unwrap();
    let after = world.layer_policy("l", 1).await.unwrap();
    assert_eq!(after["Policy"], document);
    assert!(![&first["RevisionId"], &second["RevisionId"]].contains(&&after["RevisionId"]));
    world.forbid_layer("l", 1, "s1", None).await.unwrap();
    check_error(world.layer_policy("l", 1).await, "Layer(NoPolicy", none);
}

#[tokio::test]
async fn wrong_permissions_are_refused() {
    let world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    let stale = "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to \
                 retrieve the latest Revision Id";
    check_error(world.permit_layer(json!({ "RevisionId": "x" })).await, "Layer(PolicyRevision", stale);
    world.permit_layer(json!({})).await.unwrap();
    let text = "The statement id (s1) provided already exists. Please provide a new statement id, or remove the \
                existing statement.";
    check_error(world.permit_layer(json!({})).await, "Layer(StatementExists", text);
    let other = json!({ "StatementId": "s2", "RevisionId": "x" });
    check_error(world.permit_layer(other).await, "Layer(PolicyRevision", stale);
    check_error(world.forbid_layer("l", 1, "s1", Some("x")).await, "Layer(PolicyRevision", stale);
    let text = "Statement s9 is not found in resource policy.";
    check_error(world.forbid_layer("l", 1, "s9", None).await, "Layer(StatementMissing", text);
    for (name, number) in [("l", 2), ("l-none", 1)] {
        let text = format!(
            "Layer version {} does not exist.",
            format!("{LAYER}:{number}").replace(":l:", &format!(":{name}:"))
        );
        let add = json!({ "LayerName": name, "VersionNumber": number });
        check_error(world.permit_layer(add).await, "Layer(VersionMissing", &text);
        check_error(world.layer_policy(name, number).await, "Layer(VersionMissing", &text);
        check_error(world.forbid_layer(name, number, "s1", None).await, "Layer(VersionMissing", &text);
    }
}

#[tokio::test]
async fn a_policy_has_20_kilobytes_at_most() {
    let world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    let error = loop {
        let id = format!(
            "{:0>100}",
            world.layer_policy("l", 1).await.map_or(0, |policy| policy["Policy"].as_str().unwrap().len())
        );
        match world.permit_layer(json!({ "StatementId": id })).await {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    let size = error.strip_prefix("The final policy size (").unwrap();
    let size: usize = size.strip_suffix(") is bigger than the limit (20480).").unwrap().parse().unwrap();
    let length = world.layer_policy("l", 1).await.unwrap()["Policy"].as_str().unwrap().len();
    assert!(length <= 20_480 && size > 20_480 && size - length < 300, "{length} {size}");
}

#[tokio::test]
async fn accounts_use_the_layers_that_are_shared_with_them() {
    let mut world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    let arn = format!("{LAYER}:1");
    let (theirs, ours) = world.seen_by("123456789012", "us-east-1");
    let denied = |action: &str, resource: &str| {
        format!(
            "User: arn:aws:iam::123456789012:root is not authorized to perform: lambda:{action} on resource: \
             {resource} because no resource-based policy allows the lambda:{action} action"
        )
    };
    let get = denied("GetLayerVersion", &arn);
    world.scope = theirs.clone();
    assert_eq!(world.layers(json!({})).await.unwrap(), json!({ "Layers": [] }));
    world.create(json!({ "FunctionName": "there" })).await.unwrap();
    world.control.settle().await.unwrap();
    check_error(world.layer(LAYER, 1).await, "Layer(Denied", &get);
    check_error(world.layer_by_arn(&arn).await, "Layer(Denied", &get);
    check_refused(&world, &[&arn], "Layer(Denied", &get).await;
    for principal in ["999999999999", "arn:aws:iam::123456789012:root"] {
        check_error(world.layer(LAYER, 1).await, "Layer(Denied", &get);
        world.scope = ours.clone();
        world.permit_layer(json!({ "StatementId": principal[..3], "Principal": principal })).await.unwrap();
        world.scope = theirs.clone();
    }
    assert_eq!(world.layer_by_arn(&arn).await.unwrap()["LayerVersionArn"], arn);
    let configured = world.configure(json!({ "FunctionName": "there", "Layers": [arn] })).await.unwrap();
    assert_eq!(configured["Layers"][0]["Arn"], arn);
    check_error(world.delete_layer(LAYER, 1).await, "Layer(Denied", &denied("DeleteLayerVersion", LAYER));
    let publication = world.publish_layer(json!({ "LayerName": LAYER })).await;
    check_error(publication, "Layer(Denied", &denied("PublishLayerVersion", LAYER));
    let list = world.layer_versions(json!({ "LayerName": LAYER })).await;
    check_error(list, "Layer(Denied", &denied("ListLayerVersions", LAYER));
}

#[tokio::test]
async fn an_organization_lets_nobody_in() {
    let mut world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    world.permit_layer(json!({ "OrganizationId": "o-0123456789" })).await.unwrap();
    world.scope.account = "123456789012".parse().unwrap();
    assert!(world.layer(LAYER, 1).await.is_err());
}

#[tokio::test]
async fn regions_have_layers_of_their_own() {
    let mut world = World::new();
    world.publish_layer(json!({})).await.unwrap();
    world.scope.region = "eu-west-1".parse().unwrap();
    assert_eq!(world.layers(json!({})).await.unwrap(), json!({ "Layers": [] }));
    check_error(world.layer("l", 1).await, "Layer(Missing", GONE);
    check_error(world.layer(LAYER, 1).await, "Layer(Missing", GONE);
    check_error(world.layer_by_arn(&format!("{LAYER}:1")).await, "Layer(Missing", GONE);
    check_error(world.delete_layer(LAYER, 1).await, "Layer(Missing", GONE);
    check(&world.publish_layer(json!({})).await.unwrap(), &json!({ "Version": 1 }));
    world.scope = Scope { account: AccountId::local(), region: Region::local() };
    assert!(world.layer("l", 1).await.is_ok());
}
