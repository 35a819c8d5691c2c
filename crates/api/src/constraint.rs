//! The constraints of the model, checked against a value, and the text of what breaks them.
//!
//! The wording is Lambda's own. Members are reported from the last to the first, which is the order of every
//! recorded answer with violations of several members; of one member, length comes before pattern.

use std::fmt;

use serde_json::{Map, Value};

use crate::shape::{Location, Pattern, Shape, Structure};

/// The constraints that a request breaks, in the order of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Whether nothing is broken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One text for each, without the count.
    #[must_use]
    pub fn items(&self) -> &[String] {
        &self.0
    }

    fn add(&mut self, shape: &Shape, value: &Value, path: &Path<'_>, constraint: &dyn fmt::Display) {
        self.0.push(if shape.is_sensitive() {
            format!("Value at '{path}' failed to satisfy constraint: {constraint}")
        } else {
            let value = Rendered { shape, value };
            format!("Value '{value}' at '{path}' failed to satisfy constraint: {constraint}")
        });
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(formatter, "{} validation error{plural} detected: {}", self.0.len(), self.0.join("; "))
    }
}

/// Checks an input. `body_length` is that of a payload that is taken unchanged.
pub(crate) fn check(table: &Structure, members: &Map<String, Value>, body_length: usize) -> Violations {
    let mut violations = Violations::default();
    check_members(table, members, None, &mut violations);
    let payload = table.members.iter().find(|member| member.location == Location::Payload);
    if let Some((member, Shape::Blob { min, max })) = payload.map(|member| (member, member.shape)) {
        let path = Path { parent: None, part: Part::Member(member.path) };
        for constraint in lengths(*min, *max).into_iter().flatten() {
            if !constraint.allows_length(body_length) {
                violations.add(member.shape, &Value::Null, &path, &constraint);
            }
        }
    }
    violations
}

fn check_members(
    structure: &Structure,
    values: &Map<String, Value>,
    parent: Option<&Path<'_>>,
    violations: &mut Violations,
) {
    for member in structure.members.iter().rev() {
        let path = Path { parent, part: Part::Member(member.path) };
        match values.get(member.name) {
            Some(value) if !value.is_null() => check_value(member.shape, value, &path, violations),
            _ if member.required && member.location != Location::Payload => violations.0.push(format!(
                "Value null at '{path}' failed to satisfy constraint: {}",
                Constraint::NotNull
            )),
            _ => {}
        }
    }
}

fn check_value(shape: &Shape, value: &Value, path: &Path<'_>, violations: &mut Violations) {
    for constraint in constraints(shape).into_iter().flatten() {
        if !constraint.holds(value) {
            violations.add(shape, value, path, &constraint);
        }
    }
    match (shape, value) {
        (Shape::Structure(structure), Value::Object(members)) => {
            check_members(structure, members, Some(path), violations);
        }
        (Shape::List { item: item @ Shape::Structure(_), .. }, Value::Array(items)) => {
            for (index, value) in items.iter().enumerate().filter(|(_, value)| !value.is_null()) {
                let path = Path { parent: Some(path), part: Part::Item(index + 1) };
                check_value(item, value, &path, violations);
            }
        }
        _ => {}
    }
}

/// One constraint; `Display` is Lambda's wording.
enum Constraint {
    MaxLength(usize),
    MinLength(usize),
    MaxValue(Number),
    MinValue(Number),
    Pattern(&'static Pattern),
    Values(&'static [&'static str]),
    Items(&'static Shape),
    Keys(&'static Shape),
    MapValues(&'static Shape),
    NotNull,
}

enum Number {
    Whole(i64),
    Real(f64),
}

fn constraints(shape: &Shape) -> [Option<Constraint>; 4] {
    match *shape {
        Shape::String { min, max, pattern, values, .. } => {
            let [max, min] = lengths(min, max);
            [max, min, pattern.map(Constraint::Pattern), values.map(Constraint::Values)]
        }
        Shape::Integer { min, max } | Shape::Long { min, max } => {
            bounds(min.map(Number::Whole), max.map(Number::Whole))
        }
        Shape::Double { min, max } => bounds(min.map(Number::Real), max.map(Number::Real)),
        Shape::Blob { .. } | Shape::Boolean | Shape::Timestamp | Shape::Structure(_) => [const { None }; 4],
        Shape::List { item, min, max, .. } => {
            let [max, min] = lengths(min, max);
            [max, min, Some(Constraint::Items(item)), None]
        }
        Shape::Map { key, value, min, max, .. } => {
            let [max, min] = lengths(min, max);
            [max, min, Some(Constraint::Keys(key)), Some(Constraint::MapValues(value))]
        }
    }
}

fn lengths(min: Option<usize>, max: Option<usize>) -> [Option<Constraint>; 2] {
    [max.map(Constraint::MaxLength), min.map(Constraint::MinLength)]
}

fn bounds(min: Option<Number>, max: Option<Number>) -> [Option<Constraint>; 4] {
    [max.map(Constraint::MaxValue), min.map(Constraint::MinValue), None, None]
}

impl Constraint {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::MaxLength(_) | Self::MinLength(_) => self.allows_length(length(value)),
            Self::MaxValue(Number::Whole(max)) => value.as_i64().is_none_or(|number| number <= *max),
            Self::MinValue(Number::Whole(min)) => value.as_i64().is_none_or(|number| number >= *min),
            Self::MaxValue(Number::Real(max)) => value.as_f64().is_none_or(|number| number <= *max),
            Self::MinValue(Number::Real(min)) => value.as_f64().is_none_or(|number| number >= *min),
            Self::Pattern(pattern) => value.as_str().is_none_or(|text| pattern.matches(text)),
            Self::Values(values) => value.as_str().is_none_or(|text| values.contains(&text)),
            Self::Items(item) => {
                value.as_array().is_none_or(|items| items.iter().all(|value| satisfies(item, value)))
            }
            Self::Keys(key) => value
                .as_object()
                .is_none_or(|map| map.keys().all(|text| satisfies(key, &Value::from(text.as_str())))),
            Self::MapValues(shape) => {
                value.as_object().is_none_or(|map| map.values().all(|value| satisfies(shape, value)))
            }
            Self::NotNull => !value.is_null(),
        }
    }

    fn allows_length(&self, length: usize) -> bool {
        match self {
            Self::MaxLength(max) => length <= *max,
            Self::MinLength(min) => length >= *min,
            _ => true,
        }
    }
}

fn satisfies(shape: &Shape, value: &Value) -> bool {
    !value.is_null() && constraints(shape).into_iter().flatten().all(|constraint| constraint.holds(value))
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxLength(max) => write!(formatter, "Member must have length less than or equal to {max}"),
            Self::MinLength(min) => {
                write!(formatter, "Member must have length greater than or equal to {min}")
            }
            Self::MaxValue(max) => write!(formatter, "Member must have value less than or equal to {max}"),
            Self::MinValue(min) => write!(formatter, "Member must have value greater than or equal to {min}"),
            Self::Pattern(pattern) => {
                write!(formatter, "Member must satisfy regular expression pattern: {}", pattern.source)
            }
            Self::Values(values) => {
                write!(formatter, "Member must satisfy enum value set: [{}]", values.join(", "))
            }
            Self::Items(item) => write!(formatter, "Member must satisfy constraint: [{}]", Each(item)),
            Self::Keys(key) => write!(formatter, "Map keys must satisfy constraint: [{}]", Each(key)),
            Self::MapValues(value) => {
                write!(formatter, "Map value must satisfy constraint: [{}]", Each(value))
            }
            Self::NotNull => formatter.write_str("Member must not be null"),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(formatter, "{number}"),
            Self::Real(number) => write!(formatter, "{number:?}"),
        }
    }
}

/// All constraints on the elements of a list or map. Enums and numbers say that they must not be null, and so
/// does a shape with no other constraint; text with a length or pattern does not.
struct Each<'a>(&'a Shape);

impl fmt::Display for Each<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for constraint in constraints(self.0).into_iter().flatten() {
            write!(formatter, "{separator}{constraint}")?;
            separator = ", ";
        }
        let text = matches!(self.0, Shape::String { values: None, .. }) && !separator.is_empty();
        if text { Ok(()) } else { write!(formatter, "{separator}{}", Constraint::NotNull) }
    }
}

/// Where a value stands: `vpcConfig.subnetIds`, `filters.1.member.pattern`.
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    part: Part,
}

enum Part {
    Member(&'static str),
    Item(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(formatter, "{parent}.")?;
        }
        match self.part {
            Part::Member(name) => formatter.write_str(name),
            Part::Item(number) => write!(formatter, "{number}.member"),
        }
    }
}

/// A value as Java prints it: `[a, b]`, `{2=-1.0}`, `FileSystemConfig(arn=x, localMountPath=y)`.
struct Rendered<'a> {
    shape: &'a Shape,
    value: &'a Value,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.shape, self.value) {
            (shape, _) if shape.is_sensitive() => formatter.write_str("***Sensitive***"),
            (_, Value::String(text)) => formatter.write_str(text),
            (Shape::Double { .. }, Value::Number(number)) => {
                write!(formatter, "{:?}", number.as_f64().unwrap_or_default())
            }
            (Shape::List { item, .. }, Value::Array(items)) => {
                let items = items.iter().map(|value| Rendered { shape: item, value });
                joined(formatter, '[', items, ']')
            }
            (Shape::Map { value: shape, .. }, Value::Object(map)) => {
                let entries = map.iter().map(|(key, value)| format!("{key}={}", Rendered { shape, value }));
                joined(formatter, '{', entries, '}')
            }
            (Shape::Structure(structure), Value::Object(values)) => {
                formatter.write_str(structure.name)?;
                let members = structure.members.iter().map(|member| {
                    let value = values.get(member.name).unwrap_or(&Value::Null);
                    format!("{}={}", member.path, Rendered { shape: member.shape, value })
                });
                joined(formatter, '(', members, ')')
            }
            (_, value) => write!(formatter, "{value}"),
        }
    }
}

fn joined(
    formatter: &mut fmt::Formatter<'_>,
    open: char,
    items: impl Iterator<Item = impl fmt::Display>,
    close: char,
) -> fmt::Result {
    write!(formatter, "{open}")?;
    for (index, item) in items.enumerate() {
        write!(formatter, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    write!(formatter, "{close}")
}

#[cfg(test)]
mod tests;
