//! Opening a data directory.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::blob::Blobs;
use crate::capacity_provider::CapacityProviders;
use crate::changes::Changes;
use crate::code_signing::CodeSigningConfigs;
use crate::data_directory::DataDirectory;
use crate::database::{Counts, Database};
use crate::error::Error;
use crate::event::Events;
use crate::function::Functions;
use crate::layer::Layers;
use crate::mapping::Mappings;

/// Where the store keeps what it is given.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for everything; made if it is missing.
    pub data_directory: PathBuf,
}

/// An open data directory. While it lives, no other process can open the same one.
#[derive(Debug)]
pub struct Store {
    functions: Functions,
    layers: Layers,
    mappings: Mappings,
    code_signing_configs: CodeSigningConfigs,
    events: Events,
    capacity_providers: CapacityProviders,
    blobs: Blobs,
    changes: Arc<Changes>,
    // Last, so that the lock is given back after the database is closed.
    directory: DataDirectory,
}

impl Store {
    /// Opens the data directory, makes it if it is missing, and brings it to the current format.
    ///
    /// # Errors
    /// When another process uses it, a newer firelet wrote it, or the disk does not cooperate.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let directory = DataDirectory::open(&options.data_directory)?;
        let changes = Arc::new(Changes::new());
        let counts = Counts { records: Arc::clone(&changes), events: Arc::new(Changes::new()) };
        let events = Arc::clone(&counts.events);
        let database = Arc::new(Database::open(&directory.database(), counts)?);
        let blobs = Blobs::local(&directory.blobs(), Arc::clone(&database))?;
        let layers = Layers::new(Arc::clone(&database));
        let mappings = Mappings::new(Arc::clone(&database));
        let code_signing_configs = CodeSigningConfigs::new(Arc::clone(&database));
        let events = Events::new(Arc::clone(&database), events);
        let capacity_providers = CapacityProviders::new(Arc::clone(&database));
        let functions = Functions::new(database);
        Ok(Self {
            functions,
            layers,
            mappings,
            code_signing_configs,
            events,
            capacity_providers,
            blobs,
            changes,
            directory,
        })
    }

    /// Functions with their versions and tags.
    #[must_use]
    pub const fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Layers with their versions.
    #[must_use]
    pub const fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Event source mappings and their tags.
    #[must_use]
    pub const fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// Code signing configurations.
    #[must_use]
    pub const fn code_signing_configs(&self) -> &CodeSigningConfigs {
        &self.code_signing_configs
    }

    /// Asynchronous invocations that have not ended.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// Capacity providers.
    #[must_use]
    pub const fn capacity_providers(&self) -> &CapacityProviders {
        &self.capacity_providers
    }

    /// Deployment packages by their digest.
    #[must_use]
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The count of commits that changed anything but events, and the signal that follows it.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The absolute path of the data directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.directory.root()
    }

    /// 32 random bytes that stay the same for the life of the data directory, readable by this user only.
    ///
    /// # Errors
    /// When the file that keeps them can be neither read nor written.
    pub fn secret(&self, name: &str) -> Result<[u8; 32], Error> {
        let path = self.directory.root().join(format!("{name}.key"));
        if let Some(secret) = fs::read(&path).ok().and_then(|bytes| bytes.try_into().ok()) {
            return Ok(secret);
        }
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        secret[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        let staged = self.directory.temporary().join(format!("{name}.key"));
        write_private(&staged, &secret).map_err(Error::file("write", &staged))?;
        fs::rename(&staged, &path).map_err(Error::file("write", &path))?;
        Ok(secret)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
