//! Whether a request payload is JSON, and what AWS says when it is not.
//!
//! AWS parses with Jackson and passes its message on. The wording below is Jackson's
//! (`ReaderBasedJsonParser`, 2.15 and later, source location redacted), as recorded from AWS in public error
//! reports: "Could not parse request body into json: Could not parse payload into json: Unexpected character ('1'
//! (code 49)): was expecting comma to separate Object entries at [Source: REDACTED
//! (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 52]".

use bytes::Bytes;
use serde::de::IgnoredAny;

const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/// The event that a function gets for `payload`: an empty one is delivered as `{}`.
///
/// # Errors
///
/// Jackson's message, when the payload is not JSON.
pub(crate) fn event(payload: Bytes) -> Result<Bytes, String> {
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    let problem = match std::str::from_utf8(&payload) {
        Ok(text) => serde_json::from_str::<IgnoredAny>(text).err().map(|error| problem(text, &error)),
        Err(error) => Some(invalid_utf8(&payload, error.valid_up_to())),
    };
    problem.map_or(Ok(payload), Err)
}

fn problem(text: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line().max(1), error.column().max(1));
    if error.is_eof() {
        let what = "Unexpected end-of-input: was expecting closing quote, bracket or a value";
        return located(what, line, column);
    }
    located(&unexpected(text.as_bytes(), line, column, &error.to_string()), line, column)
}

fn located(what: &str, line: usize, column: usize) -> String {
    let source = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";
    format!("{what}\n at {source}; line: {line}, column: {column}]")
}

fn invalid_utf8(payload: &[u8], position: usize) -> String {
    let before = &payload[..position];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let byte = payload.get(position).copied().unwrap_or_default();
    located(&format!("Invalid UTF-8 start byte 0x{byte:x}"), line, column)
}

fn unexpected(payload: &[u8], line: usize, column: usize, description: &str) -> String {
    let text = payload.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
    let at = text.get(column - 1..).unwrap_or_default();
    let start = String::from_utf8_lossy(at);
    let character = start.chars().next().unwrap_or(' ');
    let expected = if description.starts_with("expected `,` or `}`") {
        "was expecting comma to separate Object entries"
    } else if description.starts_with("expected `,` or `]`") {
        "was expecting comma to separate Array entries"
    } else if description.starts_with("expected `:`") {
        "was expecting a colon to separate field name and value"
    } else if description.starts_with("key must be a string") {
        "was expecting double-quote to start field name"
    } else {
        return unrecognized(text, column, character);
    };
    format!("Unexpected character ('{character}' (code {})): {expected}", u32::from(character))
}

/// A bare word is named whole; anything else by its character.
fn unrecognized(line: &[u8], column: usize, character: char) -> String {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'$';
    let position = (column - 1).min(line.len());
    let start = line[..position].iter().rposition(|byte| !is_word(byte)).map_or(0, |before| before + 1);
    let word: Vec<u8> = line[start..].iter().copied().take_while(is_word).take(256).collect();
    if word.first().is_some_and(u8::is_ascii_alphabetic) {
        let word = String::from_utf8_lossy(&word);
        format!("Unrecognized token '{word}': was expecting {VALUES}")
    } else {
        format!(
            "Unexpected character ('{character}' (code {})): expected a valid value {VALUES}",
            u32::from(character)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &'static [u8], expected: Result<&[u8], &str>) {
        let event = event(Bytes::from_static(payload));
        match expected {
            Ok(expected) => assert_eq!(event.as_deref(), Ok(expected)),
            Err(expected) => {
                let message = event.unwrap_err();
                let (what, place) = message.split_once("\n at ").unwrap();
                assert_eq!(what, expected);
                assert!(place.starts_with("[Source: REDACTED") && place.ends_with(']'), "{place}");
            }
        }
    }

    #[test]
    fn json_goes_through_unchanged() {
        check(b"", Ok(b"{}"));
        check(br#"{"a": [1, 2.5e3, null], "b":"\u00e9"}"#, Ok(br#"{"a": [1, 2.5e3, null], "b":"\u00e9"}"#));
        check(b" 7 ", Ok(b" 7 "));
    }

    #[test]
    fn deep_nesting_is_answered() {
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert!(event(Bytes::from(deep)).is_ok());
    }

    #[test]
    fn what_is_not_json_is_refused_in_jacksons_words() {
        let words = "Unrecognized token 'hello': was expecting (JSON String, Number, Array, Object or token 'null', \
                     'true' or 'false')";
        check(b"hello", Err(words));
        check(
            br#"{"a": 1 "b"}"#,
            Err("Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries"),
        );
        check(
            b"{a: 1}",
            Err("Unexpected character ('a' (code 97)): was expecting double-quote to start field name"),
        );
        check(
            br#"{"a" 1}"#,
            Err(
                "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            ),
        );
        check(
            b"[1 2]",
            Err("Unexpected character ('2' (code 50)): was expecting comma to separate Array entries"),
        );
        check(b"\"\xb2\"", Err("Invalid UTF-8 start byte 0xb2"));
    }
}
