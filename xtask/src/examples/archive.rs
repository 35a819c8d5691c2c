//! Zips of folders: the same files give the same bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::fingerprint::files_below;

/// Packs all files below `folder` into `zip`.
pub(crate) fn pack(folder: &Path, zip: &Path) -> anyhow::Result<()> {
    let unfinished = zip.with_extension("unfinished");
    let file = File::create(&unfinished).with_context(|| format!("create {}", unfinished.display()))?;
    let mut writer = ZipWriter::new(BufWriter::new(file));
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder).context("name a file in the zip")?;
        let mode = fs::metadata(&path).with_context(|| format!("inspect {}", path.display()))?.permissions();
        let options = SimpleFileOptions::default().unix_permissions(mode.mode() & 0o777);
        writer
            .start_file(name.to_string_lossy(), options)
            .with_context(|| format!("add {} to the zip", name.display()))?;
        let mut content = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        io::copy(&mut content, &mut writer).with_context(|| format!("pack {}", path.display()))?;
    }
    writer.finish().with_context(|| format!("finish {}", unfinished.display()))?;
    fs::rename(&unfinished, zip).with_context(|| format!("move the zip to {}", zip.display()))
}
