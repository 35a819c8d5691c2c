//! A Java regular expression in the syntax of the `regex` family, anchored at both ends.
//!
//! The differences that matter here: `\d` and `\s` are ASCII in Java, and `.` stops at all Java line terminators.

const SPACE: &str = r" \t\n\x0B\f\r";

/// Whether the pattern looks ahead or behind, which a linear-time engine cannot.
pub(super) fn looks_around(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look))
}

pub(super) fn to_rust(pattern: &str) -> String {
    let mut rust = String::from(r"\A(?:");
    let mut class_depth = 0_usize;
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(characters.next(), class_depth > 0, &mut rust),
            '.' if class_depth == 0 => rust.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            _ => {
                match character {
                    '[' => class_depth += 1,
                    ']' => class_depth = class_depth.saturating_sub(1),
                    _ => {}
                }
                rust.push(character);
            }
        }
    }
    rust.push_str(r")\z");
    rust
}

fn escape(escaped: Option<char>, in_class: bool, rust: &mut String) {
    match (escaped, in_class) {
        (Some('d'), true) => rust.push_str("0-9"),
        (Some('d'), false) => rust.push_str("[0-9]"),
        (Some('s'), true) => rust.push_str(SPACE),
        (Some('s'), false) => rust.push_str(&format!("[{SPACE}]")),
        (Some('S'), _) => rust.push_str(&format!("[^{SPACE}]")),
        (Some(other), _) => rust.extend(['\\', other]),
        (None, _) => rust.push_str(r"\\"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_classes_are_ascii() {
        let check = |java: &str, rust: &str| assert_eq!(to_rust(java), rust);
        check(r"\d{12}", r"\A(?:[0-9]{12})\z");
        check(r"[^\s]+", r"\A(?:[^ \t\n\x0B\f\r]+)\z");
        check(r"[\s\S]*", r"\A(?:[ \t\n\x0B\f\r[^ \t\n\x0B\f\r]]*)\z");
        check(r"a.[.]\.", r"\A(?:a[^\n\r\x{85}\x{2028}\x{2029}][.]\.)\z");
    }
}
