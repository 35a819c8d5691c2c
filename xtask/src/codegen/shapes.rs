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
    let operations = model.operations.iter().filter_map(|(_, operation)| operation.input.as_ref());
    let inputs: Vec<_> = operations.map(|input| table_name(&input.shape)).collect();
    let count = inputs.len();
    Ok(quote! {
        //! Tables of every shape that a request can hold.

        use crate::shape::{Location, Member, Pattern, Shape, Structure};

        static UNCHECKED_STRING: Shape =
            Shape::String { min: None, max: None, pattern: None, values: None, sensitive: false };

        #(#items)*

        /// The inputs in the order of the operations.
        #[cfg(test)]
        pub(crate) static INPUTS: [&Structure; #count] = [#(&#inputs),*];
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

fn values(shape: &Shape) -> TokenStream {
    let Some(values) = &shape.values else { return quote!(None) };
    let values = print_order(values);
    quote!(Some(&[#(#values),*]))
}

/// The order in which Lambda prints an enum set: a table of 32 buckets, chosen by Java's `String.hashCode`, with
/// the latest value first in each. Every recorded set shows it, among them one of 40 runtimes.
fn print_order(values: &[String]) -> Vec<&str> {
    let mut ordered: Vec<_> = values.iter().rev().map(String::as_str).collect();
    ordered.sort_by_key(|value| java_hash(value) & 31);
    ordered
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

    fn check(recorded: &[&str], model: &[&str]) {
        let model: Vec<_> = model.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(print_order(&model), recorded);
    }

    #[test]
    fn small_enum_sets_print_in_the_recorded_order() {
        check(&["Terminate", "Allow"], &["Allow", "Terminate"]);
        check(&["x86_64", "arm64"], &["x86_64", "arm64"]);
        check(&["INSUFFICIENT_DATA", "ALARM", "OK"], &["OK", "ALARM", "INSUFFICIENT_DATA"]);
        check(&["INDEXES", "TOTAL", "NONE"], &["INDEXES", "TOTAL", "NONE"]);
        check(&["Pipe", "FastFile", "File"], &["Pipe", "File", "FastFile"]);
    }

    #[test]
    fn runtimes_print_in_the_recorded_order() {
        let model = "nodejs nodejs4.3 nodejs6.10 nodejs8.10 nodejs10.x nodejs12.x nodejs14.x nodejs16.x nodejs18.x \
                     nodejs20.x java8 java8.al2 java11 java17 java21 python2.7 python3.6 python3.7 python3.8 \
                     python3.9 python3.10 python3.11 python3.12 dotnetcore1.0 dotnetcore2.0 dotnetcore2.1 \
                     dotnetcore3.1 dotnet6 dotnet8 nodejs4.3-edge go1.x ruby2.5 ruby2.7 ruby3.2 ruby3.3 provided \
                     provided.al2 provided.al2023";
        let recorded = "dotnetcore1.0 python3.7 nodejs8.10 ruby2.7 dotnetcore2.0 python3.8 java21 dotnet6 \
                        dotnetcore2.1 python3.9 java11 nodejs6.10 provided dotnetcore3.1 dotnet8 java17 nodejs \
                        nodejs4.3 java8.al2 go1.x nodejs20.x nodejs10.x provided.al2023 python3.10 java8 \
                        nodejs12.x python3.11 python3.12 nodejs14.x nodejs16.x provided.al2 nodejs4.3-edge \
                        nodejs18.x ruby3.2 ruby3.3 ruby2.5 python3.6 python2.7";
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        check(&words(recorded), &words(model));
    }
}
