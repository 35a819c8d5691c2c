//! The wording of violations, as recorded from Lambda.

use serde_json::json;

use super::*;
use crate::generated::shapes;

fn check(table: &Structure, members: Value, expected: &str) {
    let Value::Object(members) = members else { panic!("members are an object") };
    let violations = super::check(table, &members, 0);
    assert_eq!(if violations.is_empty() { String::new() } else { violations.to_string() }, expected);
}

fn function(extra: Value) -> Value {
    let mut members = json!({"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/r", "Code": {}});
    let Value::Object(extra) = extra else { panic!("extra members are an object") };
    members.as_object_mut().unwrap().extend(extra);
    members
}

fn check_function(extra: Value, expected: &str) {
    check(&shapes::CREATE_FUNCTION_REQUEST, function(extra), expected);
}

#[test]
fn sound_members_are_no_violation() {
    check_function(json!({"Timeout": 900, "MemorySize": 128, "Description": "", "Runtime": "cobol"}), "");
}

#[test]
fn missing_members_are_null() {
    check(
        &shapes::UNTAG_RESOURCE_REQUEST,
        json!({"Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"}),
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null",
    );
}

#[test]
fn several_violations_are_counted_and_joined_from_the_last_member() {
    check(
        &shapes::GET_FUNCTION_REQUEST,
        json!({"FunctionName": "f!", "Qualifier": "a:b"}),
        "2 validation errors detected: Value 'a:b' at 'qualifier' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: \\$(LATEST(\\.PUBLISHED)?)|[a-zA-Z0-9-_$]+; Value 'f!' at 'functionName' failed \
         to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?\
         ((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)\
         (:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?",
    );
    check(
        &shapes::LIST_LAYERS_REQUEST,
        json!({"CompatibleArchitecture": "sparc", "MaxItems": 0}),
        "2 validation errors detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value \
         greater than or equal to 1; Value 'sparc' at 'compatibleArchitecture' failed to satisfy constraint: Member \
         must satisfy enum value set: [x86_64, arm64]",
    );
}

#[test]
fn length_stands_before_pattern() {
    let name = format!("{}!", "a".repeat(140));
    let violations = super::check(
        &shapes::CREATE_FUNCTION_REQUEST,
        function(json!({"FunctionName": name})).as_object().unwrap(),
        0,
    );
    let constraint = |index: usize| violations.items()[index].rsplit_once(": Member ").unwrap().1.to_owned();
    assert_eq!(violations.items().len(), 2);
    assert_eq!(constraint(0), "must have length less than or equal to 140");
    assert!(constraint(1).starts_with("must satisfy regular expression pattern"));
}

#[test]
fn nested_members_have_dotted_paths() {
    check_function(
        json!({"SnapStart": {"ApplyOn": "invalidOption"}}),
        "1 validation error detected: Value 'invalidOption' at 'snapStart.applyOn' failed to satisfy constraint: \
         Member must satisfy enum value set: [PublishedVersions, None]",
    );
    check_function(
        json!({"FileSystemConfigs": [{"Arn": "x".repeat(300), "LocalMountPath": "/mnt/a"}], "KMSKeyArn": "k"}),
        "3 validation errors detected: Value '<x300>' at 'fileSystemConfigs.1.member.arn' failed to satisfy \
         constraint: Member must have length less than or equal to 256; Value '<x300>' at \
         'fileSystemConfigs.1.member.arn' failed to satisfy constraint: Member must satisfy regular expression \
         pattern: arn:aws[a-zA-Z-]*:elasticfilesystem:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:\
         access-point/fsap-[a-f0-9]{17}$|^arn:aws[-a-z]*:s3files:[0-9a-z-:]+:file-system/fs-[0-9a-f]{17,40}/\
         access-point/fsap-[0-9a-f]{17,40}; Value 'k' at 'kMSKeyArn' failed to satisfy constraint: Member must \
         satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"
            .replace("<x300>", &"x".repeat(300))
            .as_str(),
    );
}

#[test]
fn list_elements_are_reported_together() {
    check_function(
        json!({"VpcConfig": {"SubnetIds": ["subnet-1", "bad"]}}),
        "1 validation error detected: Value '[subnet-1, bad]' at 'vpcConfig.subnetIds' failed to satisfy constraint: \
         Member must satisfy constraint: [Member must have length less than or equal to 1024, Member must have \
         length greater than or equal to 0, Member must satisfy regular expression pattern: subnet-[0-9a-z]*]",
    );
    check_function(
        json!({"Architectures": ["sparc", null]}),
        "2 validation errors detected: Value '[sparc, null]' at 'architectures' failed to satisfy constraint: Member \
         must have length less than or equal to 1; Value '[sparc, null]' at 'architectures' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member \
         must not be null]",
    );
}

#[test]
fn map_keys_and_values_are_reported_apart() {
    let alias = |weights: Value| {
        json!({"FunctionName": "f", "Name": "live", "FunctionVersion": "1",
            "RoutingConfig": {"AdditionalVersionWeights": weights}})
    };
    check(
        &shapes::CREATE_ALIAS_REQUEST,
        alias(json!({"2": -1})),
        "1 validation error detected: Value '{2=-1.0}' at 'routingConfig.additionalVersionWeights' failed to satisfy \
         constraint: Map value must satisfy constraint: [Member must have value less than or equal to 1.0, Member \
         must have value greater than or equal to 0.0, Member must not be null]",
    );
    check(
        &shapes::CREATE_ALIAS_REQUEST,
        alias(json!({"$LATEST": 0.5})),
        "1 validation error detected: Value '{$LATEST=0.5}' at 'routingConfig.additionalVersionWeights' failed to \
         satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 1024, \
         Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [0-9]+]",
    );
}

#[test]
fn sensitive_values_are_not_repeated() {
    check_function(
        json!({"Environment": {"Variables": {"a-b": "secret"}}}),
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must \
         satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]",
    );
}

#[test]
fn too_long_lists_of_structures_print_like_java_objects() {
    let config = json!({"Arn": "a", "LocalMountPath": null});
    let violations = super::check(
        &shapes::CREATE_FUNCTION_REQUEST,
        function(json!({"FileSystemConfigs": [config, config]})).as_object().unwrap(),
        0,
    );
    assert_eq!(
        violations.items()[0],
        "Value '[FileSystemConfig(arn=a, localMountPath=null, s3FilesConfig=null), FileSystemConfig(arn=a, \
         localMountPath=null, s3FilesConfig=null)]' at 'fileSystemConfigs' failed to satisfy constraint: Member must have length less than or equal to 1"
    );
}

#[test]
fn lengths_count_characters() {
    check_function(json!({"Description": "ä".repeat(256)}), "");
}

#[test]
fn patterns_mean_what_they_mean_in_java() {
    let sound =
        |table: &Structure, members: Value| super::check(table, members.as_object().unwrap(), 0).is_empty();
    let alias = |name: &str| sound(&shapes::DELETE_ALIAS_REQUEST, json!({"FunctionName": "f", "Name": name}));
    assert!(alias("live") && alias("1a") && alias("-"));
    assert!(!alias("123") && !alias("live\n") && !alias("\u{660}x"));
    let url = |qualifier: &str| {
        sound(&shapes::GET_FUNCTION_URL_CONFIG_REQUEST, json!({"FunctionName": "f", "Qualifier": qualifier}))
    };
    assert!(url("live") && !url("1") && !url("$LATEST"));
    let bucket =
        |name: &str| sound(&shapes::CREATE_FUNCTION_REQUEST, function(json!({"Code": {"S3Bucket": name}})));
    assert!(bucket("a.b-c_D") && !bucket("bucket.") && !bucket("a/b"));
    let key = |key: &str| sound(&shapes::CREATE_FUNCTION_REQUEST, function(json!({"Code": {"S3Key": key}})));
    assert!(key("å/b c") && !key("a\nb") && !key("a\u{2028}b"));
    let tag = |key: &str| {
        let resource = "arn:aws:lambda:us-east-1:123456789012:function:f";
        sound(&shapes::TAG_RESOURCE_REQUEST, json!({"Resource": resource, "Tags": {(key): "värde"}}))
    };
    assert!(tag("owner @ team") && tag("größe") && !tag("a*b") && !tag(""));
    let qualifier =
        |text: &str| sound(&shapes::GET_FUNCTION_REQUEST, json!({"FunctionName": "f", "Qualifier": text}));
    assert!(qualifier("$LATEST") && qualifier("$LATEST.PUBLISHED") && qualifier("$latest") && !qualifier(""));
}
