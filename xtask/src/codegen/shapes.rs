//! `shapes.rs`: tables of every shape that a request can hold, for reading and checking.

use anyhow::{Context, ensure};
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::model::{Kind, Location, Member, Model, Reference, Shape};
use super::{names, pattern};

/// Members whose enum is checked later, with another error than the constraint's.
const CHECKED_LATER: [(&str, &str); 2] =
    [("CreateFunctionRequest", "Runtime"), ("UpdateFunctionConfigurationRequest", "Runtime")];

/// Patterns that look around are tried on short values only, so such shapes must be short.
const LOOKAROUND_LIMIT: f64 = 256.0;

pub(super) fn generate(model: &Model) -> anyhow::Result<TokenStream> {
    let mut items = Vec::new();
    for name in model.input_shapes()? {
        let shape = model.shape(&name)?;
        items.push(if shape.kind == Kind::Structure {
            structure(model, &name, shape)?
        } else {
            plain(model, &name, shape)?
        });
    }
    Ok(quote! {
        //! Tables of every shape that a request can hold.

        use crate::shape::{Location, Member, Pattern, Shape, Structure};

        static UNCHECKED_STRING: Shape =
            Shape::String { min: None, max: None, pattern: None, values: None, sensitive: false };

        #(#items)*
    })
}

fn structure(model: &Model, name: &str, shape: &Shape) -> anyhow::Result<TokenStream> {
    let table = table_name(name);
    let members = shape
        .members
        .iter()
        .map(|(member_name, member)| member_row(model, name, shape, member_name, member))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(quote! {
        pub(crate) static #table: Structure = Structure { name: #name, members: &[#(#members),*] };
    })
}

fn member_row(
    model: &Model,
    owner: &str,
    shape: &Shape,
    name: &str,
    member: &Member,
) -> anyhow::Result<TokenStream> {
    let bound = member.bound_name(name);
    let location = match member.location {
        Some(Location::Uri) => quote!(Location::Label(#bound)),
        Some(Location::Querystring) => quote!(Location::Query(#bound)),
        Some(Location::Header) => {
            let header = bound.to_lowercase();
            quote!(Location::Header(#header))
        }
        Some(Location::StatusCode) => anyhow::bail!("{owner}.{name}: an input bound to the status"),
        None if shape.payload.as_deref() == Some(name) => quote!(Location::Payload),
        None => quote!(Location::Body),
    };
    let path = names::lower_first(name);
    let required = shape.requires(name);
    let target = if CHECKED_LATER.contains(&(owner, name)) {
        quote!(&UNCHECKED_STRING)
    } else {
        reference(model, &member.shape)?
    };
    Ok(quote!(Member { name: #name, path: #path, location: #location, required: #required, shape: #target }))
}

fn reference(model: &Model, name: &str) -> anyhow::Result<TokenStream> {
    let table = table_name(name);
    Ok(if model.shape(name)?.kind == Kind::Structure {
        quote!(&Shape::Structure(&#table))
    } else {
        quote!(&#table)
    })
}

fn plain(model: &Model, name: &str, shape: &Shape) -> anyhow::Result<TokenStream> {
    let table = table_name(name);
    let sensitive = shape.sensitive;
    let mut before = TokenStream::new();
    let value = match shape.kind {
        Kind::String => {
            let (min, max) = lengths(shape)?;
            let (pattern_item, pattern) = pattern_table(name, shape)?;
            before = pattern_item;
            let values = values(shape);
            quote!(Shape::String { min: #min, max: #max, pattern: #pattern, values: #values, sensitive: #sensitive })
        }
        Kind::Integer | Kind::Long => {
            let (min, max) = (whole(shape.min)?, whole(shape.max)?);
            let variant = if shape.kind == Kind::Integer { quote!(Integer) } else { quote!(Long) };
            quote!(Shape::#variant { min: #min, max: #max })
        }
        Kind::Double | Kind::Float => {
            let (min, max) = (option(shape.min), option(shape.max));
            quote!(Shape::Double { min: #min, max: #max })
        }
        Kind::Boolean => quote!(Shape::Boolean),
        Kind::Timestamp => quote!(Shape::Timestamp),
        Kind::Blob => {
            let (min, max) = lengths(shape)?;
            quote!(Shape::Blob { min: #min, max: #max })
        }
        Kind::List => {
            let (min, max) = lengths(shape)?;
            let item = target(model, shape.member.as_ref())?;
            quote!(Shape::List { item: #item, min: #min, max: #max, sensitive: #sensitive })
        }
        Kind::Map => {
            let (min, max) = lengths(shape)?;
            let (key, value) = (target(model, shape.key.as_ref())?, target(model, shape.value.as_ref())?);
            quote!(Shape::Map { key: #key, value: #value, min: #min, max: #max, sensitive: #sensitive })
        }
        Kind::Structure => anyhow::bail!("{name} is a structure"),
    };
    Ok(quote! { #before static #table: Shape = #value; })
}

fn pattern_table(name: &str, shape: &Shape) -> anyhow::Result<(TokenStream, TokenStream)> {
    let Some(source) = &shape.pattern else { return Ok((TokenStream::new(), quote!(None))) };
    let table = format_ident!("{}_PATTERN", table_name(name));
    let rust = pattern::to_rust(source);
    let looks_around = pattern::looks_around(source);
    let short = shape.max.is_some_and(|max| max <= LOOKAROUND_LIMIT);
    ensure!(short || !looks_around, "{name}: a pattern that looks around over values without a small limit");
    let item = quote!(static #table: Pattern = Pattern::new(#source, #rust, #looks_around););
    Ok((item, quote!(Some(&#table))))
}

/// The values in the order in which Lambda prints them: by the low five bits of Java's `String.hashCode`, as
/// every recorded enum set shows; values that share a bucket stay in the order of the model.
fn values(shape: &Shape) -> TokenStream {
    let Some(values) = &shape.values else { return quote!(None) };
    let mut values = values.clone();
    values.sort_by_key(|value| java_hash(value) & 31);
    quote!(Some(&[#(#values),*]))
}

fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

fn target(model: &Model, shape: Option<&Reference>) -> anyhow::Result<TokenStream> {
    reference(model, &shape.context("a list or map without an element shape")?.shape)
}

fn table_name(name: &str) -> Ident {
    format_ident!("{}", names::snake_case(name).to_uppercase())
}

fn lengths(shape: &Shape) -> anyhow::Result<(TokenStream, TokenStream)> {
    Ok((whole(shape.min)?, whole(shape.max)?))
}

fn whole(bound: Option<f64>) -> anyhow::Result<TokenStream> {
    let Some(bound) = bound else { return Ok(quote!(None)) };
    let bound: proc_macro2::Literal = format!("{bound}").parse().ok().context("a bound that is no number")?;
    Ok(quote!(Some(#bound)))
}

fn option(bound: Option<f64>) -> TokenStream {
    bound.map_or_else(|| quote!(None), |bound| quote!(Some(#bound)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enum_sets_print_in_the_recorded_order() {
        let check = |recorded: &[&str]| {
            let mut sorted = recorded.to_vec();
            sorted.reverse();
            sorted.sort_by_key(|value| java_hash(value) & 31);
            assert_eq!(sorted, recorded);
        };
        check(&["Terminate", "Allow"]);
        check(&["x86_64", "arm64"]);
        check(&["INSUFFICIENT_DATA", "ALARM", "OK"]);
        check(&["INDEXES", "TOTAL", "NONE"]);
        check(&["Pipe", "FastFile", "File"]);
    }
}
