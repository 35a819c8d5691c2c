//! The control plane as a whole: what its operations share.

use std::fmt;
use std::sync::Arc;

use firelet_store::Store;
use firelet_types::{Clock, Ids, RevisionId, Scope};

use crate::code_link::{self, CodeDownload, Sealer};
use crate::code_source::CodeSource;
use crate::configuration::Context;
use crate::error::Error;
use crate::quota::Quotas;

/// What the control plane is made of.
#[derive(Debug)]
pub struct Options {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where revision ids come from.
    pub ids: Arc<Ids>,
    /// The limits of each account.
    pub quotas: Quotas,
    /// The S3-compatible store that code may come from.
    pub code_source: Option<CodeSource>,
}

/// The control plane. Its methods are the operations of the API, in the modules of their resources.
pub struct Control {
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<Ids>,
    pub(crate) quotas: Quotas,
    pub(crate) sealer: Sealer,
    pub(crate) code_source: Option<CodeSource>,
}

impl Control {
    /// The control plane over `store`.
    ///
    /// # Errors
    /// When the secret that seals links and markers can be neither read nor made.
    pub fn new(store: Arc<Store>, options: Options) -> Result<Self, firelet_store::Error> {
        let sealer = Sealer::new(store.secret("links")?);
        let Options { clock, ids, quotas, code_source } = options;
        Ok(Self { store, clock, ids, quotas, sealer, code_source })
    }

    /// The code behind a link that [`Control::get_function`] gave out.
    ///
    /// # Errors
    /// When the link was not made here, is older than ten minutes, or the code is no longer stored.
    pub async fn open_code_link(&self, path: &str, query: &str) -> Result<CodeDownload, Error> {
        let sha256 = code_link::check(&self.sealer, path, query, self.clock.now())?;
        code_link::open(&self.store, &sha256).await
    }

    pub(crate) fn context<'a>(&'a self, scope: &'a Scope) -> Context<'a> {
        Context { scope, quotas: &self.quotas }
    }

    pub(crate) fn new_revision(&self) -> RevisionId {
        RevisionId::new(&self.ids)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").field("quotas", &self.quotas).finish_non_exhaustive()
    }
}
