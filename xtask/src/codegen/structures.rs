//! `model.rs`: a struct for every structure and an enum for every set of values. Exceptions are not structures
//! here; they are error kinds.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use proc_macro2::TokenStream;
use quote::quote;

use super::model::{Kind, Member, Model, Ordered, Reference, Shape};
use super::names;

/// Enums that keep a value the model does not know, because another place answers for it.
const OPEN_ENUMS: [&str; 2] = ["Runtime", "LastUpdateStatusReasonCode"];

pub(super) fn generate(model: &Model) -> anyhow::Result<TokenStream> {
    let mut items = Vec::new();
    for (name, shape) in model.shapes.iter() {
        if let Some(values) = &shape.values {
            items.push(enumeration(name, values)?);
        } else if shape.kind == Kind::Structure && !shape.exception {
            items.push(structure(model, name, shape)?);
        }
    }
    Ok(quote! {
        //! A type for every structure and enum of the service model, with the model's names.
        #![expect(missing_docs, reason = "the names are those of the service model, which documents them")]

        use std::collections::BTreeMap;
        use std::fmt;

        use bytes::Bytes;
        use serde::{Deserialize, Serialize};

        use crate::blob::Redacted;
        use crate::enumeration::{closed_enum, open_enum};
        use crate::time::EpochSeconds;

        #(#items)*
    })
}

fn enumeration(name: &str, values: &[String]) -> anyhow::Result<TokenStream> {
    let identifier = names::identifier(name);
    let variants: Vec<_> = values.iter().map(|value| names::identifier(&names::variant(value))).collect();
    let distinct: BTreeSet<_> = values.iter().map(|value| names::variant(value)).collect();
    ensure!(distinct.len() == values.len(), "two values of {name} give the same variant");
    let form = if OPEN_ENUMS.contains(&name) { quote!(open_enum) } else { quote!(closed_enum) };
    Ok(quote! { #form! { #identifier { #(#variants = #values,)* } } })
}

fn structure(model: &Model, name: &str, shape: &Shape) -> anyhow::Result<TokenStream> {
    let identifier = names::identifier(name);
    let fields = shape
        .members
        .iter()
        .map(|(member_name, member)| field(model, shape, member_name, member))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let sensitive = has_sensitive_members(model, &shape.members)?;
    let debug_derive = (!sensitive).then(|| quote!(Debug,));
    let default_derive = has_default(model, shape)?.then(|| quote!(Default,));
    let debug = if sensitive { redacting_debug(model, name, shape)? } else { TokenStream::new() };
    Ok(quote! {
        #[derive(#debug_derive Clone, PartialEq, #default_derive Serialize, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        pub struct #identifier { #(#fields,)* }
        #debug
    })
}

fn field(model: &Model, shape: &Shape, name: &str, member: &Member) -> anyhow::Result<TokenStream> {
    let snake = names::snake_case(name);
    let identifier = names::identifier(&snake);
    let kind = rust_type(model, &member.shape)?;
    let required = shape.requires(name);
    let blob = model.shape(&member.shape)?.kind == Kind::Blob;
    let payload = shape.payload.as_deref() == Some(name);
    let mut attributes = Vec::new();
    if names::pascal_case(&snake) != name {
        attributes.push(quote!(rename = #name));
    }
    match (blob, required) {
        (true, true) => attributes.push(quote!(with = "crate::blob")),
        (true, false) => attributes.push(quote!(with = "crate::blob::optional")),
        _ => {}
    }
    if blob && (payload || !required) {
        attributes.push(quote!(default));
    }
    if !required {
        attributes.push(quote!(skip_serializing_if = "Option::is_none"));
    }
    let serde = (!attributes.is_empty()).then(|| quote!(#[serde(#(#attributes),*)]));
    let kind = if required { kind } else { quote!(Option<#kind>) };
    Ok(quote!(#serde pub #identifier: #kind))
}

fn rust_type(model: &Model, name: &str) -> anyhow::Result<TokenStream> {
    let shape = model.shape(name)?;
    Ok(match shape.kind {
        Kind::String if shape.values.is_none() => quote!(String),
        Kind::String | Kind::Structure => {
            let identifier = names::identifier(name);
            quote!(#identifier)
        }
        Kind::Integer => quote!(i32),
        Kind::Long => quote!(i64),
        Kind::Boolean => quote!(bool),
        Kind::Double | Kind::Float => quote!(f64),
        Kind::Blob => quote!(Bytes),
        Kind::Timestamp => quote!(EpochSeconds),
        Kind::List => {
            let item = rust_type(model, &element(shape)?.shape)?;
            quote!(Vec<#item>)
        }
        Kind::Map => {
            let value = rust_type(model, &map_value(shape)?.shape)?;
            quote!(BTreeMap<String, #value>)
        }
    })
}

fn element(shape: &Shape) -> anyhow::Result<&Reference> {
    shape.member.as_ref().context("a list without a member shape")
}

fn map_value(shape: &Shape) -> anyhow::Result<&Reference> {
    shape.value.as_ref().context("a map without a value shape")
}

fn has_default(model: &Model, shape: &Shape) -> anyhow::Result<bool> {
    for (name, member) in shape.members.iter() {
        let target = model.shape(&member.shape)?;
        let defaults = match target.kind {
            Kind::Structure => has_default(model, target)?,
            _ => target.values.is_none(),
        };
        if shape.requires(name) && !defaults {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_sensitive(model: &Model, name: &str) -> anyhow::Result<bool> {
    let shape = model.shape(name)?;
    if shape.sensitive {
        return Ok(true);
    }
    for reference in [&shape.member, &shape.key, &shape.value].into_iter().flatten() {
        if is_sensitive(model, &reference.shape)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_sensitive_members(model: &Model, members: &Ordered<Member>) -> anyhow::Result<bool> {
    for (_, member) in members.iter() {
        if is_sensitive(model, &member.shape)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn redacting_debug(model: &Model, name: &str, shape: &Shape) -> anyhow::Result<TokenStream> {
    let identifier = names::identifier(name);
    let mut fields = Vec::new();
    for (member_name, member) in shape.members.iter() {
        let snake = names::snake_case(member_name);
        let field = names::identifier(&snake);
        let value = match (is_sensitive(model, &member.shape)?, shape.requires(member_name)) {
            (false, _) => quote!(&self.#field),
            (true, true) => quote!(&Redacted),
            (true, false) => quote!(&self.#field.as_ref().map(|_| Redacted)),
        };
        fields.push(quote!(.field(#snake, #value)));
    }
    Ok(quote! {
        impl fmt::Debug for #identifier {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(#name) #(#fields)* .finish()
            }
        }
    })
}
