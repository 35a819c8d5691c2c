//! `operations.rs`: the operations and the tree of paths that leads to them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use proc_macro2::TokenStream;
use quote::quote;

use super::model::Model;
use super::names;

pub(super) fn generate(model: &Model, implemented: &BTreeSet<String>) -> anyhow::Result<TokenStream> {
    let operation_names: Vec<_> = model.operations.iter().map(|(name, _)| name.as_str()).collect();
    let identifiers: Vec<_> = operation_names.iter().map(|name| names::identifier(name)).collect();
    let statuses = model.operations.iter().map(|(_, operation)| operation.http.response_code);
    let implemented: Vec<_> = implemented.iter().map(|name| names::identifier(name)).collect();
    let count = identifiers.len();
    let root = tree(model)?.tokens();
    Ok(quote! {
        //! The operations of the service model and the tree of their paths.
        #![expect(missing_docs, reason = "the names are those of the service model, which documents them")]

        use crate::routes::{Node, Target};

        /// An operation of the Lambda API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation { #(#identifiers,)* }

        impl Operation {
            /// Every operation, in the order of the model.
            pub const ALL: [Self; #count] = [#(Self::#identifiers,)*];

            /// The name in the model, as in `CreateFunction`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { #(Self::#identifiers => #operation_names,)* }
            }

            /// The status of an answer that is no error.
            #[must_use]
            pub const fn success_status(self) -> u16 {
                match self { #(Self::#identifiers => #statuses,)* }
            }

            /// Whether firelet has this operation; the others answer 501.
            #[must_use]
            pub const fn implemented(self) -> bool {
                matches!(self, #(Self::#implemented)|*)
            }
        }

        impl std::fmt::Display for Operation {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.name())
            }
        }

        pub(crate) static ROOT: Node = #root;
    })
}

#[derive(Default)]
struct PathNode {
    literals: BTreeMap<String, PathNode>,
    label: Option<(String, Box<PathNode>)>,
    targets: Vec<PathTarget>,
}

struct PathTarget {
    method: String,
    query: Option<(String, String)>,
    operation: String,
}

fn tree(model: &Model) -> anyhow::Result<PathNode> {
    let mut root = PathNode::default();
    for (name, operation) in model.operations.iter() {
        let uri = operation.http.request_uri.as_str();
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let mut node = &mut root;
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            node = node.child(segment)?;
        }
        let query = query.and_then(|query| query.split_once('='));
        node.targets.push(PathTarget {
            method: operation.http.method.clone(),
            query: query.map(|(key, value)| (key.to_owned(), value.to_owned())),
            operation: name.clone(),
        });
    }
    Ok(root)
}

impl PathNode {
    fn child(&mut self, segment: &str) -> anyhow::Result<&mut Self> {
        let Some(label) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Ok(self.literals.entry(segment.to_owned()).or_default());
        };
        ensure!(!label.ends_with('+'), "a greedy label {label}: the route tree has none");
        let (known, node) = self.label.get_or_insert_with(|| (label.to_owned(), Box::default()));
        ensure!(known == label, "labels {known} and {label} stand at the same place");
        Ok(node)
    }

    fn tokens(&self) -> TokenStream {
        let literals = self.literals.iter().map(|(segment, node)| {
            let node = node.tokens();
            quote!((#segment, &#node))
        });
        let label = self.label.as_ref().map_or_else(
            || quote!(None),
            |(name, node)| {
                let node = node.tokens();
                quote!(Some((#name, &#node)))
            },
        );
        let mut targets: Vec<_> = self.targets.iter().collect();
        targets.sort_by_key(|target| target.query.is_none());
        let targets = targets.into_iter().map(PathTarget::tokens);
        quote!(Node { literals: &[#(#literals),*], label: #label, targets: &[#(#targets),*] })
    }
}

impl PathTarget {
    fn tokens(&self) -> TokenStream {
        let Self { method, query, operation } = self;
        let operation = names::identifier(operation);
        let query = query.as_ref().map_or_else(|| quote!(None), |(key, value)| quote!(Some((#key, #value))));
        quote!(Target { method: #method, query: #query, operation: Operation::#operation })
    }
}
