//! The export `repair`.

use alloc::vec::Vec;

use pagebox_core::repair::{Action, mend};

use crate::Component;
use crate::store::HostStore;
use crate::wit::exports::pagebox::pager::pager::Error;
use crate::wit::exports::pagebox::pager::repair as wit;
use crate::wit::pagebox::pager::page_store::Store;

impl wit::Guest for Component {
    fn mend(store: Store) -> Result<Vec<wit::RepairAction>, Error> {
        let actions = mend(&mut HostStore::new(store)?)?;
        Ok(actions.into_iter().map(Into::into).collect())
    }
}

impl From<Action> for wit::RepairAction {
    fn from(action: Action) -> Self {
        Self {
            lost: action.lost,
            page: action.page,
            protected: action.protected.map(|id| id.0),
            text: action.text,
        }
    }
}
