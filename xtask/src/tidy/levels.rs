//! Crates import only what the table in `ARCHITECTURE.md` lets them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::commands::{cargo, run_quietly};

const PAGE: &str = "ARCHITECTURE.md";
const PREFIX: &str = "firelet-";
const HEADER: &str = "| Level | Crate | Purpose | May import |";

/// What one row of the table says.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// None for a crate that stands beside the levels.
    level: Option<u32>,
    may_import: Imports,
}

#[derive(Debug, PartialEq, Eq)]
enum Imports {
    All,
    Only(BTreeSet<String>),
}

impl Imports {
    fn allow(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Faults between the table and the crates.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let page = fs::read_to_string(root.join(PAGE)).with_context(|| format!("read {PAGE}"))?;
    let metadata = run_quietly(cargo(root).args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    Ok(faults(&parse(&page)?, &imports(&metadata)))
}

/// The crates of the workspace that each of them imports, tests included.
fn imports(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeSet<_> = metadata.packages.iter().map(|package| package.name.clone()).collect();
    let in_workspace = |dependency: &Dependency| names.contains(&dependency.name);
    let short = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    metadata
        .packages
        .iter()
        .map(|package| {
            let imported = package.dependencies.iter().filter(|it| in_workspace(it));
            (short(&package.name), imported.map(|dependency| short(&dependency.name)).collect())
        })
        .collect()
}

fn parse(page: &str) -> anyhow::Result<BTreeMap<String, Row>> {
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with(HEADER))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let table: BTreeMap<_, _> = rows.map(parse_row).collect::<anyhow::Result<_>>()?;
    ensure!(!table.is_empty(), "{PAGE} has no table that starts with `{HEADER}`");
    Ok(table)
}

fn parse_row(line: &str) -> anyhow::Result<(String, Row)> {
    let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [level, name, _purpose, imports] = cells[..] else {
        anyhow::bail!("{PAGE}: a row of the crates' table needs four cells: {line}");
    };
    let level = match level {
        "–" => None,
        number => Some(number.parse().with_context(|| format!("{PAGE}: level of {name}"))?),
    };
    let may_import = match imports {
        "all" => Imports::All,
        "–" => Imports::Only(BTreeSet::new()),
        names => Imports::Only(names.split_whitespace().map(str::to_owned).collect()),
    };
    Ok((name.trim_matches('`').to_owned(), Row { level, may_import }))
}

fn faults(table: &BTreeMap<String, Row>, imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for name in table.keys().filter(|name| !imports.contains_key(*name)) {
        faults.push(format!("{PAGE}: crate `{name}` does not exist"));
    }
    for (name, imported) in imports {
        let Some(row) = table.get(name) else {
            faults.push(format!("{PAGE}: crate `{name}` is missing in the table"));
            continue;
        };
        for other in imported {
            if !row.may_import.allow(other) {
                faults.push(format!("crate `{name}` must not import `{other}` (table in {PAGE})"));
            }
            let below = table.get(other).and_then(|other| other.level);
            if below.is_some() && row.level.is_some() && below >= row.level {
                faults.push(format!("crate `{name}` imports `{other}`, which is not on a lower level"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
| Level | Crate | Purpose | May import |
| ---: | --- | --- | --- |
| 0 | `types` | Values. | – |
| 1 | `api` | Wire. | types |
| 1 | `store` | Rows. | types api |
| 6 | `firelet` | Binary. | all |
| – | `xtask` | Commands. | – |

After the table.
";

    fn check(imports: &[(&str, &[&str])], expected: &[&str]) {
        let mut all: BTreeMap<String, BTreeSet<String>> =
            ["types", "api", "store", "firelet", "xtask"].map(|it| (it.to_owned(), BTreeSet::new())).into();
        for (name, imported) in imports {
            all.insert((*name).to_owned(), imported.iter().map(|it| (*it).to_owned()).collect());
        }
        assert_eq!(faults(&parse(TABLE).unwrap(), &all), expected);
    }

    #[test]
    fn allowed_imports_pass() {
        check(&[("api", &["types"]), ("firelet", &["types", "store"])], &[]);
    }

    #[test]
    fn an_import_outside_the_table_is_a_fault() {
        check(
            &[("types", &["api"])],
            &[
                "crate `types` must not import `api` (table in ARCHITECTURE.md)",
                "crate `types` imports `api`, which is not on a lower level",
            ],
        );
    }

    #[test]
    fn the_table_itself_must_point_downwards() {
        check(&[("store", &["api"])], &["crate `store` imports `api`, which is not on a lower level"]);
    }

    #[test]
    fn every_crate_is_in_the_table() {
        check(&[("pool", &[])], &["ARCHITECTURE.md: crate `pool` is missing in the table"]);
    }

    #[test]
    fn a_page_without_the_table_is_an_error() {
        assert!(parse("nothing").is_err());
    }
}
