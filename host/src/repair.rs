//! Mending a copy of a damaged file.

use std::path::Path;

use serde::Serialize;

use crate::Error;
use crate::copy::copy_bytes;
use crate::first_pages::page_size;
use crate::home::Home;
use crate::ids::ProtectedId;
use crate::os::{self, Locked};
use crate::page_stores::{PageStores, Right};
use crate::runtime::Runtime;
use crate::store::MmapStore;
use crate::unpublished::Unpublished;
use crate::wit::exports::pagebox::pager::repair as wit;

/// Something that [`Engine::repair`](crate::Engine::repair) did, or could not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepairAction {
    /// Whether something was lost.
    pub lost: bool,
    /// The page that it is about.
    pub page: Option<u64>,
    /// The protected page that it is about.
    pub protected: Option<ProtectedId>,
    /// What was done and why, for people.
    pub text: String,
}

pub(crate) fn repair(
    runtime: &Runtime,
    path: &Path,
    output: &Path,
) -> Result<Vec<RepairAction>, Error> {
    // Nobody writes to the file while it is copied.
    let source = Locked::open(path, false)?;
    let mut sandbox = runtime.sandbox()?;
    let page_size = page_size(&mut sandbox, source.file(), path)?;
    let (copy, unpublished) = Unpublished::create_private(output)?;
    copy_bytes(source.file(), copy.file(), &mut |_, _| {})
        .and_then(|()| os::keep_rights(source.file(), copy.file()))
        .and_then(|()| os::sync(copy.file()))
        .map_err(|source| Error::io("copy to", output, source))?;
    let mut copy = Home::new(Box::new(MmapStore::new(copy, output, page_size)?));
    let actions = sandbox.ask_with(
        &mut copy,
        Right::Write,
        "repairing the file",
        |world, store| {
            let exports = world.pagebox_pager_repair();
            exports.call_mend(store, PageStores::own())
        },
    )?;
    unpublished.publish()?;
    Ok(actions.into_iter().map(RepairAction::from).collect())
}

impl From<wit::RepairAction> for RepairAction {
    fn from(action: wit::RepairAction) -> Self {
        Self {
            lost: action.lost,
            page: action.page,
            protected: action.protected.map(ProtectedId::new),
            text: action.text,
        }
    }
}
