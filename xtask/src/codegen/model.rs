//! The service model as it is read from `api/lambda.json`: members keep the order of the file.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use anyhow::Context;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) operations: Ordered<Operation>,
    pub(super) shapes: Ordered<Shape>,
}

#[derive(Deserialize)]
pub(super) struct Operation {
    pub(super) http: Http,
    pub(super) input: Option<Reference>,
    pub(super) output: Option<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Http {
    pub(super) method: String,
    pub(super) request_uri: String,
    pub(super) response_code: u16,
}

#[derive(Deserialize)]
pub(super) struct Reference {
    pub(super) shape: String,
}

#[derive(Deserialize)]
pub(super) struct Shape {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) members: Ordered<Member>,
    #[serde(default)]
    pub(super) required: Vec<String>,
    pub(super) payload: Option<String>,
    #[serde(default)]
    pub(super) exception: bool,
    pub(super) error: Option<HttpError>,
    #[serde(rename = "enum")]
    pub(super) values: Option<Vec<String>>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) pattern: Option<String>,
    #[serde(default)]
    pub(super) sensitive: bool,
    #[serde(default)]
    pub(super) eventstream: bool,
    pub(super) member: Option<Reference>,
    pub(super) key: Option<Reference>,
    pub(super) value: Option<Reference>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Boolean,
    Double,
    Float,
    Blob,
    Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpError {
    pub(super) http_status_code: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    pub(super) shape: String,
    pub(super) location: Option<Location>,
    pub(super) location_name: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) enum Location {
    Uri,
    Querystring,
    Header,
    StatusCode,
}

impl Model {
    pub(super) fn shape(&self, name: &str) -> anyhow::Result<&Shape> {
        let found = self.shapes.iter().find(|(shape, _)| shape == name);
        found.map(|(_, shape)| shape).with_context(|| format!("the model has no shape {name}"))
    }

    /// The names of all shapes that can be part of a request.
    pub(super) fn input_shapes(&self) -> anyhow::Result<BTreeSet<String>> {
        let mut reached = BTreeSet::new();
        for (_, operation) in self.operations.iter() {
            if let Some(input) = &operation.input {
                self.reach(&input.shape, &mut reached)?;
            }
        }
        Ok(reached)
    }

    fn reach(&self, name: &str, reached: &mut BTreeSet<String>) -> anyhow::Result<()> {
        if !reached.insert(name.to_owned()) {
            return Ok(());
        }
        let shape = self.shape(name)?;
        for (_, member) in shape.members.iter() {
            self.reach(&member.shape, reached)?;
        }
        for reference in [&shape.member, &shape.key, &shape.value].into_iter().flatten() {
            self.reach(&reference.shape, reached)?;
        }
        Ok(())
    }
}

impl Shape {
    pub(super) fn requires(&self, member: &str) -> bool {
        self.required.iter().any(|required| required == member)
    }
}

impl Member {
    /// The name of the label, query parameter or header that carries this member.
    pub(super) fn bound_name<'a>(&'a self, member: &'a str) -> &'a str {
        self.location_name.as_deref().unwrap_or(member)
    }
}

/// A JSON object that keeps the order of its entries.
pub(super) struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Ordered<T> {
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(String, T)> + ExactSizeIterator {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OrderedVisitor(PhantomData))
    }
}

struct OrderedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OrderedVisitor<T> {
    type Value = Ordered<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut ordered = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            ordered.push(entry);
        }
        Ok(Ordered(ordered))
    }
}
