//! Names of entries to paths inside a tree, and targets of links to places inside it.

/// Bytes of a path inside the tree, so that the folder before it fits into what the system takes.
const PATH_BYTES: usize = 1_024;
/// Bytes of one component, the limit of every file system that matters.
const COMPONENT_BYTES: usize = 255;

/// Brings the name of an entry into its one form: components joined by `/`, without a slash at either end.
///
/// An empty answer is the root of the tree itself.
pub(super) fn normalise(name: &str, depth: usize) -> Result<String, &'static str> {
    if name.contains('\0') {
        return Err("has a name with a zero byte");
    }
    if name.contains('\\') {
        return Err("has a name with a backslash");
    }
    if name.starts_with('/') {
        return Err("has an absolute path");
    }
    if matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err("has a path with a drive letter");
    }
    let components: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if components.contains(&"..") {
        return Err("has a path with ..");
    }
    if components.len() > depth {
        return Err("lies too deep");
    }
    if components.iter().any(|component| component.len() > COMPONENT_BYTES) {
        return Err("has a name that is too long");
    }
    let path = components.join("/");
    if path.len() > PATH_BYTES {
        return Err("has a path that is too long");
    }
    Ok(path)
}

/// The folder of a path; the root of the tree is empty.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Judges where a link at `path` leads.
///
/// `..` may stand only at the start of the target, where it climbs from the real folder of the link; after another
/// component, which may itself be a link, it could climb from anywhere.
pub(super) fn check_link(path: &str, target: &str) -> Result<(), &'static str> {
    if target.is_empty() || target.len() > PATH_BYTES || target.contains('\0') {
        return Err("is a link to nowhere");
    }
    if target.starts_with('/') {
        return Err("is a link to an absolute path");
    }
    let mut components = target.split('/').filter(|part| !matches!(*part, "" | ".")).peekable();
    let mut climbs = 0;
    while components.next_if_eq(&"..").is_some() {
        climbs += 1;
    }
    if components.any(|component| component == "..") {
        return Err("is a link with .. inside its path");
    }
    if climbs > path.matches('/').count() {
        return Err("is a link out of the package");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Option<&str>) {
        assert_eq!(normalise(name, 4).ok().as_deref(), expected, "{name:?}");
    }

    #[test]
    fn names_that_stay_inside_are_taken() {
        check("app.py", Some("app.py"));
        check("./a//b/./c/", Some("a/b/c"));
        check("/", None);
        check("./", Some(""));
        check("a..b/...", Some("a..b/..."));
        check("ünïcode", Some("ünïcode"));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in
            ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "a\\b", "C:/x", "c:x", "a\0b", "a/b/c/d/e"]
        {
            check(name, None);
        }
        check(&"x".repeat(256), None);
    }

    #[test]
    fn links_may_only_climb_to_the_root() {
        for (path, target, expected) in [
            ("a", "b", true),
            ("a", "./b/c", true),
            ("a/b", "../c", true),
            ("a/b", ".././c", true),
            ("a/b/c", "../../d/e", true),
            ("a", "..", false),
            ("a", "../c", false),
            ("a/b", "../../c", false),
            ("a/b", "c/../d", false),
            ("a/b", "c/..", false),
            ("a", "/etc/passwd", false),
            ("a", "", false),
            ("a", "b\0", false),
        ] {
            assert_eq!(check_link(path, target).is_ok(), expected, "{path} -> {target}");
        }
    }
}
