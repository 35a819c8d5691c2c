//! `errors.rs`: a kind for every exception of the model and for those that Lambda answers without declaring.

use anyhow::{Context, bail};
use proc_macro2::TokenStream;
use quote::quote;

use super::model::Model;
use super::{data_lines, names};

/// One line of `api/undeclared-errors.txt`, or an exception of the model.
#[derive(Clone)]
pub(super) struct ErrorShape {
    name: String,
    status: u16,
    message_member: String,
    typed: bool,
    note: String,
}

pub(super) fn parse_undeclared(text: &str) -> anyhow::Result<Vec<ErrorShape>> {
    data_lines(text)
        .map(|line| parse_line(line).with_context(|| format!("undeclared error line {line:?}")))
        .collect()
}

fn parse_line(line: &str) -> anyhow::Result<ErrorShape> {
    let mut words = line.split_whitespace();
    let mut next = |what: &str| words.next().with_context(|| format!("no {what}"));
    let name = next("name")?.to_owned();
    let status = next("status")?.parse().context("the status")?;
    let message_member = next("message member")?.to_owned();
    let typed = match next("typed or untyped")? {
        "typed" => true,
        "untyped" => false,
        other => bail!("{other} is neither typed nor untyped"),
    };
    let note = words.collect::<Vec<_>>().join(" ");
    Ok(ErrorShape { name, status, message_member, typed, note })
}

pub(super) fn generate(model: &Model, undeclared: &[ErrorShape]) -> anyhow::Result<TokenStream> {
    let mut shapes = declared(model)?;
    shapes.extend_from_slice(undeclared);
    let variants: Vec<_> = shapes.iter().map(|shape| names::identifier(&shape.name)).collect();
    let count = variants.len();
    let wire: Vec<_> = shapes.iter().map(|shape| &shape.name).collect();
    let statuses = shapes.iter().map(|shape| shape.status);
    let members = shapes.iter().map(|shape| &shape.message_member);
    let untyped = shapes.iter().filter(|shape| !shape.typed).map(|shape| names::identifier(&shape.name));
    let notes = shapes.iter().map(|shape| format!(" {}.", shape.note));
    Ok(quote! {
        //! The errors of the service model and those that Lambda answers without declaring them.

        /// What an error answer says went wrong, by its name on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind { #(#[doc = #notes] #variants,)* }

        impl ErrorKind {
            /// Every kind: first those of the model, then the undeclared ones.
            pub const ALL: [Self; #count] = [#(Self::#variants,)*];

            /// The name in the header `x-amzn-ErrorType`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { #(Self::#variants => #wire,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { #(Self::#variants => #statuses,)* }
            }

            /// How the body spells the member that holds the text: `message` or `Message`.
            #[must_use]
            pub const fn message_member(self) -> &'static str {
                match self { #(Self::#variants => #members,)* }
            }

            /// Whether the body carries `Type`.
            #[must_use]
            pub const fn has_type(self) -> bool {
                !matches!(self, #(Self::#untyped)|*)
            }
        }
    })
}

fn declared(model: &Model) -> anyhow::Result<Vec<ErrorShape>> {
    let mut shapes = Vec::new();
    for (name, shape) in model.shapes.iter().filter(|(_, shape)| shape.exception) {
        let member = |wanted: &str| shape.members.iter().any(|(member, _)| member == wanted);
        let error = shape.error.as_ref().with_context(|| format!("{name} has no status"))?;
        shapes.push(ErrorShape {
            name: name.clone(),
            status: error.http_status_code,
            message_member: if member("message") { "message".to_owned() } else { "Message".to_owned() },
            typed: member("Type"),
            note: "Declared by the service model".to_owned(),
        });
    }
    Ok(shapes)
}
