//! What an archive asks for, judged as a whole before anything is written.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use zip::read::ZipFileEntry;
use zip::{CompressionMethod, System};

use super::path::{check_link, normalise, parent};
use super::{Archive, ArchiveError, LINK_BYTES, Limits, count, inflate};

const KIND: u32 = 0o170_000;
const KIND_DIRECTORY: u32 = 0o040_000;
const KIND_FILE: u32 = 0o100_000;
const KIND_LINK: u32 = 0o120_000;
const EXECUTE: u32 = 0o111;

/// One place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File { index: usize, execute: u32 },
    Link { index: usize },
}

/// The tree that an archive describes, by path; folders come before what is in them.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: BTreeMap<String, Node>,
}

pub(super) fn plan(archive: &Archive<'_>, limits: &Limits) -> Result<Plan, ArchiveError> {
    let mut plan = Plan::default();
    let mut declared = 0;
    let metadata = archive.metadata();
    for index in 0..metadata.len() {
        let entry = metadata.entry(index).map_err(ArchiveError::NotAnArchive)?;
        let name = entry.name().map_err(ArchiveError::NotAnArchive)?.into_owned();
        let refused = |rule| ArchiveError::Refused { name: name.clone(), rule };
        let path = normalise(&name, limits.depth).map_err(refused)?;
        let node = judge(&entry, index, name.ends_with('/')).map_err(refused)?;
        if let Node::File { .. } = node {
            declared = count(declared, entry.size(), limits)?;
        }
        plan.insert(path, node).map_err(refused)?;
        if plan.nodes.len() > limits.entries {
            return Err(ArchiveError::TooManyEntries { limit: limits.entries });
        }
    }
    Ok(plan)
}

fn judge(entry: &ZipFileEntry<'_>, index: usize, ends_with_slash: bool) -> Result<Node, &'static str> {
    if entry.encrypted() {
        return Err("is encrypted");
    }
    if !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
        return Err("is compressed with a method other than deflate");
    }
    let mode = match entry.system() {
        System::Unix => entry.unix_mode().unwrap_or(0),
        _ => 0,
    };
    match (mode & KIND, ends_with_slash) {
        (0 | KIND_DIRECTORY, true) | (KIND_DIRECTORY, false) => Ok(Node::Directory),
        (0 | KIND_FILE, false) => Ok(Node::File { index, execute: mode & EXECUTE }),
        (KIND_LINK, false) if entry.size() <= LINK_BYTES => Ok(Node::Link { index }),
        (KIND_LINK, false) => Err("is a link with too long a target"),
        (KIND_FILE | KIND_LINK, true) => Err("has the name of a folder and is none"),
        _ => Err("is neither a file, a folder nor a link"),
    }
}

impl Plan {
    /// Adds a place and the folders above it. A second entry for the same place takes that of the first, as every
    /// unpacker does, if it is of the same kind.
    fn insert(&mut self, path: String, node: Node) -> Result<(), &'static str> {
        if path.is_empty() {
            return if node == Node::Directory { Ok(()) } else { Err("has no name") };
        }
        let mut folder = parent(&path);
        while !folder.is_empty() {
            match self.nodes.get(folder) {
                Some(Node::Directory) => break,
                Some(Node::File { .. } | Node::Link { .. }) => {
                    return Err("lies inside what is not a folder");
                }
                None => {
                    self.nodes.insert(folder.to_owned(), Node::Directory);
                }
            }
            folder = parent(folder);
        }
        match self.nodes.entry(path) {
            Entry::Vacant(place) => {
                place.insert(node);
                Ok(())
            }
            Entry::Occupied(mut place) => {
                if std::mem::discriminant(place.get()) != std::mem::discriminant(&node) {
                    return Err("is there twice, as two different kinds");
                }
                place.insert(node);
                Ok(())
            }
        }
    }
}

/// The links of a plan with their targets, each judged.
pub(super) fn read_links(
    archive: &mut Archive<'_>,
    plan: &Plan,
) -> Result<Vec<(String, String)>, ArchiveError> {
    let mut links = Vec::new();
    for (path, node) in &plan.nodes {
        let Node::Link { index } = node else { continue };
        let refused = |rule| ArchiveError::Refused { name: path.clone(), rule };
        let mut target = Vec::new();
        inflate(archive, path, *index, |piece| {
            target.extend_from_slice(piece);
            Ok(())
        })?;
        let target =
            String::from_utf8(target).map_err(|_| refused("is a link to a name that is not UTF-8"))?;
        check_link(path, &target).map_err(refused)?;
        links.push((path.clone(), target));
    }
    Ok(links)
}
