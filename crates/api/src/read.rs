//! From JSON text or a plain string to a value of a given shape. Types are checked here, constraints are not.
//!
//! Members that the shape does not have are skipped without keeping them, and a wrong type ends the reading at
//! once, so that a hostile body takes no more memory than its useful part.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::decode::DecodeError;
use crate::shape::{Location, Shape, Structure};
use crate::time;

/// The members that the body of a request holds.
pub(crate) fn body(structure: &'static Structure, text: &[u8]) -> Result<Map<String, Value>, DecodeError> {
    let value = parse(&Shape::Structure(structure), text)?;
    Ok(if let Value::Object(members) = value { members } else { Map::new() })
}

/// The body as one value of a shape.
pub(crate) fn parse(shape: &Shape, text: &[u8]) -> Result<Value, DecodeError> {
    let fault = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Reader { shape, fault: &fault }.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let message = fault.take();
        DecodeError::Serialization(
            message.unwrap_or_else(|| format!("Could not parse request body into json: {error}")),
        )
    })
}

/// The value of a label, query parameter or header. An empty number counts as absent.
pub(crate) fn text(shape: &Shape, text: &str) -> Result<Option<Value>, DecodeError> {
    let value = match shape {
        Shape::Integer { .. } | Shape::Long { .. } | Shape::Double { .. } | Shape::Timestamp
            if text.is_empty() =>
        {
            return Ok(None);
        }
        Shape::Integer { .. } => text.parse::<i32>().ok().map(Value::from),
        Shape::Long { .. } => text.parse::<i64>().ok().map(Value::from),
        Shape::Double { .. } => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
        Shape::Timestamp => time::parse(text).map(Value::from),
        Shape::Boolean => text.parse::<bool>().ok().map(Value::from),
        _ => Some(Value::from(text)),
    };
    value.map(Some).ok_or_else(|| {
        DecodeError::Serialization(format!("'{text}' can not be converted to {}", shape.type_name()))
    })
}

/// Reads one value; the fault, if any, is put aside because the deserializer adds line and column to its errors.
#[derive(Clone, Copy)]
struct Reader<'a> {
    shape: &'a Shape,
    fault: &'a RefCell<Option<String>>,
}

impl<'a> Reader<'a> {
    fn inner(self, shape: &'a Shape) -> Self {
        Self { shape, ..self }
    }

    fn refuse<E: Error>(self, message: String) -> E {
        self.fault.replace(Some(message));
        E::custom("wrong type")
    }

    /// A text, number or boolean where something else is expected, in the words of Lambda and of the services that read
    /// their requests as it does: <https://github.com/aarondfrancis/sidecar/issues/28> for numbers,
    /// <https://github.com/floci-io/floci/pull/2686> for lists and structures.
    fn mismatch<E: Error>(self, token: &str) -> E {
        self.refuse(match self.shape {
            Shape::List { .. } => "Expected list or null".to_owned(),
            Shape::Map { .. } => "Expected map or null".to_owned(),
            Shape::Structure(_) => "Expected null".to_owned(),
            shape => format!("{token} can not be converted to {}", shape.type_name()),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.shape.type_name())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        match self.shape {
            Shape::Boolean => Ok(Value::from(value)),
            _ => Err(self.mismatch(if value { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        match self.shape {
            Shape::Integer { .. } if i32::try_from(value).is_err() => Err(self.mismatch("NUMBER_VALUE")),
            Shape::Integer { .. } | Shape::Long { .. } | Shape::Double { .. } | Shape::Timestamp => {
                Ok(Value::from(value))
            }
            _ => Err(self.mismatch("NUMBER_VALUE")),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        match (i64::try_from(value), self.shape) {
            (Ok(value), _) => self.visit_i64(value),
            (Err(_), Shape::Double { .. } | Shape::Timestamp) => Ok(Value::from(value)),
            (Err(_), _) => Err(self.mismatch("NUMBER_VALUE")),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match self.shape {
            Shape::Double { .. } | Shape::Timestamp => Ok(Value::from(value)),
            _ => Err(self.mismatch("NUMBER_VALUE")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        match self.shape {
            Shape::String { .. } | Shape::Blob { .. } => Ok(Value::from(value)),
            _ => Err(self.mismatch("STRING_VALUE")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Shape::List { item, .. } = self.shape else {
            return Err(self.refuse("Start of list found where not expected".to_owned()));
        };
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(self.inner(item))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        match self.shape {
            Shape::Map { value, .. } => {
                while let Some(key) = entries.next_key::<String>()? {
                    object.insert(key, entries.next_value_seed(self.inner(value))?);
                }
            }
            Shape::Structure(structure) => {
                while let Some(key) = entries.next_key::<String>()? {
                    if let Some(shape) = body_member(structure, &key) {
                        object.insert(key, entries.next_value_seed(self.inner(shape))?);
                    } else {
                        entries.next_value::<IgnoredAny>()?;
                    }
                }
            }
            _ => return Err(self.refuse("Start of structure or map found where not expected.".to_owned())),
        }
        Ok(Value::Object(object))
    }
}

fn body_member(structure: &Structure, name: &str) -> Option<&'static Shape> {
    let member = structure.members.iter().find(|member| member.name == name)?;
    (member.location == Location::Body).then_some(member.shape)
}
