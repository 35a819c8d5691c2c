//! Any text as the name of a function or a layer: what is accepted has one text form, which reads back as the same.

#![no_main]

use firelet_types::{
    AccountId, FunctionArn, FunctionIdentifier, FunctionName, LayerArn, LayerVersionArn, Qualifier, Region,
    Scope,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let qualifier = Qualifier::from(text);
    assert_eq!(qualifier.to_string(), text);
    assert_eq!(Qualifier::from(qualifier.to_string().as_str()), qualifier);

    if let Ok(name) = text.parse::<FunctionName>() {
        assert_eq!(name.as_str(), text);
        assert!(name.as_str().len() <= 64 && !name.as_str().contains(['/', '.', '\0']));
    }
    if let Ok(identifier) = text.parse::<FunctionIdentifier>() {
        check_identifier(text, identifier);
    }
    let scope = Scope { account: AccountId::local(), region: Region::local() };
    if let Ok(layer) = LayerArn::resolve(&scope, text) {
        assert!(layer.name.as_str().len() <= 140 && !layer.name.as_str().contains(['/', '.', ':', '\0']));
        assert_eq!(layer.to_string().parse::<LayerArn>(), Ok(layer));
    }
    if let Ok(version) = text.parse::<LayerVersionArn>() {
        assert_eq!(version.to_string().parse::<LayerVersionArn>(), Ok(version));
    }
});

fn check_identifier(text: &str, identifier: FunctionIdentifier) {
    assert!(!identifier.name.is_empty() && !identifier.name.contains(['/', ':', '%', '\0']));
    assert!(text.contains(&identifier.name));
    let Ok(name) = identifier.name.parse::<FunctionName>() else { return };
    let (Some(account), Some(region)) = (identifier.account.clone(), identifier.region.clone()) else {
        return;
    };
    let arn = FunctionArn { scope: Scope { account, region }, name, qualifier: identifier.qualifier.clone() };
    let read: FunctionIdentifier = arn.to_string().parse().expect("an ARN reads back");
    assert_eq!(read, identifier);
    assert!(arn.scope.region.to_string().parse::<Region>().is_ok_and(|region| region == arn.scope.region));
}
