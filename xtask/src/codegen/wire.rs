//! `wire.rs`: how requests become the structures of inputs, and how those of outputs become answers.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::model::{Kind, Location, Model, Operation, Reference, Shape};
use super::names;

/// The content type of an event stream is the stream's own; the function's goes into another header.
const REMAPPED_CONTENT_TYPE: &str = "x-amzn-remapped-content-type";

pub(super) fn generate(model: &Model) -> anyhow::Result<TokenStream> {
    let mut items = Vec::new();
    for name in operation_shapes(model, |operation| operation.input.as_ref()) {
        items.push(decode(model, &name)?);
    }
    for name in operation_shapes(model, |operation| operation.output.as_ref()) {
        items.push(encode(model, &name)?);
    }
    let checks = model.operations.iter().filter_map(|(name, operation)| {
        let input = names::identifier(&operation.input.as_ref()?.shape);
        let operation = names::identifier(name);
        Some(quote!(Operation::#operation => model::#input::decode(request).map(drop)))
    });
    Ok(quote! {
        //! How requests become inputs and outputs become answers.

        use crate::decode::{self, DecodeError, DecodeRequest, Request};
        use crate::encode::{EncodeResponse, EncodedResponse};
        use crate::generated::operations::Operation;
        use crate::generated::{model, shapes};

        /// Whether a request is an input of `operation`: decodes it and keeps nothing.
        ///
        /// # Errors
        /// As [`DecodeRequest::decode`].
        pub fn check(operation: Operation, request: &Request<'_>) -> Result<(), DecodeError> {
            match operation { #(#checks,)* }
        }

        #(#items)*
    })
}

fn operation_shapes(model: &Model, select: impl Fn(&Operation) -> Option<&Reference>) -> BTreeSet<String> {
    let chosen = model.operations.iter().filter_map(|(_, operation)| select(operation));
    chosen.map(|reference| reference.shape.clone()).collect()
}

fn decode(model: &Model, name: &str) -> anyhow::Result<TokenStream> {
    let identifier = names::identifier(name);
    let table = format_ident!("{}", names::snake_case(name).to_uppercase());
    let shape = model.shape(name)?;
    let payload = blob_payload(model, shape)?.map(|payload| {
        let field = names::identifier(&names::snake_case(payload));
        let value =
            if shape.requires(payload) { quote!(request.body.clone()) } else { quote!(request.payload()) };
        quote!(input.#field = #value;)
    });
    let body = match payload {
        Some(payload) => quote! {
            let mut input: Self = decode::structure(&shapes::#table, request)?;
            #payload
            Ok(input)
        },
        None => quote!(decode::structure(&shapes::#table, request)),
    };
    Ok(quote! {
        impl DecodeRequest for model::#identifier {
            fn decode(request: &Request<'_>) -> Result<Self, DecodeError> { #body }
        }
    })
}

fn blob_payload<'a>(model: &Model, shape: &'a Shape) -> anyhow::Result<Option<&'a str>> {
    let payload = shape.members.iter().find(|(name, _)| shape.payload.as_ref() == Some(name));
    let Some((name, member)) = payload else { return Ok(None) };
    Ok((model.shape(&member.shape)?.kind == Kind::Blob).then_some(name))
}

fn encode(model: &Model, name: &str) -> anyhow::Result<TokenStream> {
    let identifier = names::identifier(name);
    let shape = model.shape(name)?;
    let bound = shape.members.iter().any(|(_, member)| member.location.is_some());
    let body = if bound || shape.payload.is_some() {
        let steps = bound_steps(model, name, shape)?;
        quote! {
            let mut response = EncodedResponse::empty(operation);
            #(#steps)*
            response
        }
    } else {
        quote!(EncodedResponse::json(operation, self))
    };
    Ok(quote! {
        impl EncodeResponse for model::#identifier {
            fn encode(&self, operation: Operation) -> EncodedResponse { #body }
        }
    })
}

fn bound_steps(model: &Model, name: &str, shape: &Shape) -> anyhow::Result<Vec<TokenStream>> {
    let mut steps = Vec::new();
    for (member_name, member) in shape.members.iter() {
        ensure!(
            !shape.requires(member_name),
            "{name}.{member_name}: a bound member of an output is required"
        );
        let field = names::identifier(&names::snake_case(member_name));
        let target = model.shape(&member.shape)?;
        steps.push(match member.location {
            Some(Location::StatusCode) => quote!(response.set_status(self.#field);),
            Some(Location::Header) => {
                let header = member.bound_name(member_name).to_lowercase();
                let header = if header == "content-type" { REMAPPED_CONTENT_TYPE } else { &header };
                quote!(response.set_header(#header, self.#field.as_deref());)
            }
            None if target.eventstream => quote!(response.set_event_stream();),
            None => {
                ensure!(target.kind == Kind::Blob, "{name}.{member_name}: neither bound nor a blob payload");
                quote!(response.set_payload(self.#field.as_ref());)
            }
            Some(location) => bail!("{name}.{member_name}: an output bound to {location:?}"),
        });
    }
    Ok(steps)
}
