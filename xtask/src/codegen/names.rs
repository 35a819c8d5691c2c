//! How names of the model are spelled in Rust.

use proc_macro2::{Ident, Span};

/// `KMSKeyArn` becomes `kms_key_arn`.
pub(super) fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let after_lower = index > 0 && !characters[index - 1].is_uppercase();
        let before_lower = characters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if index > 0 && character.is_uppercase() && (after_lower || before_lower) {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
}

/// The spelling that serde's `PascalCase` rule gives a field.
pub(super) fn pascal_case(snake: &str) -> String {
    snake.split('_').map(capitalized).collect()
}

/// `FunctionName` becomes `functionName`, and `KMSKeyArn` becomes `kMSKeyArn`: only the first letter changes.
pub(super) fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

/// An enum value as a variant: `TRIM_HORIZON` is `TrimHorizon`, `x86_64` is `X86_64`, `nodejs4.3` is `Nodejs4_3`.
pub(super) fn variant(value: &str) -> String {
    let mut name = String::new();
    for part in
        value.split(|character: char| !character.is_ascii_alphanumeric()).filter(|part| !part.is_empty())
    {
        let part = if part.chars().any(|character| character.is_ascii_lowercase()) {
            capitalized(part)
        } else {
            capitalized(&part.to_lowercase())
        };
        let digits_meet = name.ends_with(|last: char| last.is_ascii_digit())
            && part.starts_with(|first: char| first.is_ascii_digit());
        if digits_meet {
            name.push('_');
        }
        name.push_str(&part);
    }
    name
}

/// An identifier, raw if Rust keeps the word for itself.
pub(super) fn identifier(name: &str) -> Ident {
    syn::parse_str(name).unwrap_or_else(|_| Ident::new_raw(name, Span::call_site()))
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acronyms_and_digits_keep_together() {
        let check = |name: &str, expected: &str| assert_eq!(snake_case(name), expected);
        check("FunctionName", "function_name");
        check("KMSKeyArn", "kms_key_arn");
        check("S3ObjectVersion", "s3_object_version");
        check("CodeSha256", "code_sha256");
        check("Ipv6AllowedForDualStack", "ipv6_allowed_for_dual_stack");
        check("UUID", "uuid");
    }

    #[test]
    fn enum_values_become_variants() {
        let check = |value: &str, expected: &str| assert_eq!(variant(value), expected);
        check("TRIM_HORIZON", "TrimHorizon");
        check("x86_64", "X86_64");
        check("nodejs4.3-edge", "Nodejs4_3Edge");
        check("FunctionError.InitTimeout", "FunctionErrorInitTimeout");
        check("SASL_SCRAM_512_AUTH", "SaslScram512Auth");
    }
}
