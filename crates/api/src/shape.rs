//! The form of the generated tables: what a request may hold, and the constraints on it.

use std::sync::OnceLock;

use fancy_regex::Regex;

/// A structure with its members in the order of the model.
pub(crate) struct Structure {
    pub(crate) name: &'static str,
    pub(crate) members: &'static [Member],
}

/// One member: its name on the wire, its name in a violation, and where a request carries it.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) location: Location,
    pub(crate) required: bool,
    pub(crate) shape: &'static Shape,
}

/// Where a request carries a member of its input; nested members are always in the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Label(&'static str),
    Query(&'static str),
    Header(&'static str),
    /// The member is the whole body.
    Payload,
    Body,
}

/// The type of a value and its constraints. Lengths count characters, bytes, items or entries.
pub(crate) enum Shape {
    String {
        min: Option<usize>,
        max: Option<usize>,
        pattern: Option<&'static Pattern>,
        values: Option<&'static [&'static str]>,
        sensitive: bool,
    },
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Long {
        min: Option<i64>,
        max: Option<i64>,
    },
    Double {
        min: Option<f64>,
        max: Option<f64>,
    },
    Boolean,
    Timestamp,
    Blob {
        min: Option<usize>,
        max: Option<usize>,
    },
    List {
        item: &'static Shape,
        min: Option<usize>,
        max: Option<usize>,
        sensitive: bool,
    },
    Map {
        key: &'static Shape,
        value: &'static Shape,
        min: Option<usize>,
        max: Option<usize>,
        sensitive: bool,
    },
    Structure(&'static Structure),
}

impl Shape {
    /// Whether a message must not repeat a value of this shape.
    pub(crate) fn is_sensitive(&self) -> bool {
        match self {
            Self::String { sensitive, .. } => *sensitive,
            Self::List { item, sensitive, .. } => *sensitive || item.is_sensitive(),
            Self::Map { key, value, sensitive, .. } => {
                *sensitive || key.is_sensitive() || value.is_sensitive()
            }
            Self::Blob { .. } => true,
            _ => false,
        }
    }

    /// The name that Lambda gives the type in a complaint about JSON.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::String { .. } => "a String",
            Self::Integer { .. } => "an Integer",
            Self::Long { .. } => "a Long",
            Self::Double { .. } => "a Double",
            Self::Boolean => "a Boolean",
            Self::Timestamp => "milliseconds since epoch",
            Self::Blob { .. } => "a Blob",
            Self::List { .. } => "a List",
            Self::Map { .. } => "a Map",
            Self::Structure(structure) => structure.name,
        }
    }
}

/// A longer value is not tried on a pattern that looks around; such shapes allow 256 characters at most.
const LOOKAROUND_LIMIT: usize = 4096;

/// A regular expression: as the model writes it, and as this engine reads it, compiled at first use.
pub(crate) struct Pattern {
    pub(crate) source: &'static str,
    expression: &'static str,
    looks_around: bool,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    pub(crate) const fn new(source: &'static str, expression: &'static str, looks_around: bool) -> Self {
        Self { source, expression, looks_around, compiled: OnceLock::new() }
    }

    /// Whether the whole of `text` matches. A value over the limit of a backtracking pattern counts as matching:
    /// its length is already a violation.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if self.looks_around && text.len() > LOOKAROUND_LIMIT {
            return true;
        }
        self.regex().is_match(text).unwrap_or(false)
    }

    fn regex(&self) -> &Regex {
        self.compiled
            .get_or_init(|| Regex::new(self.expression).expect("a test compiles every pattern of the tables"))
    }
}
