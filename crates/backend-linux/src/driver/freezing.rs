//! Freezing a sandbox, and letting it go on.
//!
//! Only the driver does either, so that nothing is frozen that is to end: one
//! that was asked to end is let go on first, and never frozen again.

use std::io;
use std::sync::Arc;

use palisade_backend::View;
use tracing::{info, warn};

use super::{Driver, chain};
use crate::sandbox::{Freeze, FreezeFailure, Frozen};

impl Driver {
    /// Follows a wish to freeze it or to let it go on, and tells how that went.
    pub(super) async fn follow(&self, freeze: Freeze) {
        let Freeze { is_wanted, attempt } = freeze;
        let outcome = match self.set_frozen(is_wanted).await {
            Ok(()) => {
                self.show_frozen(is_wanted);
                info!(sandbox.id = %self.sandbox.id(), is_frozen = is_wanted, "sandbox is paused or resumed");
                Ok(())
            }
            Err(error) => {
                let message = chain(&error);
                warn!(sandbox.id = %self.sandbox.id(), error = message, "could not pause or resume a sandbox");
                Err(FreezeFailure::Failed(message))
            }
        };
        self.sandbox
            .set_frozen(Frozen::Followed { attempt, outcome });
    }

    /// Lets it go on, so that it can end by itself.
    pub(super) async fn thaw_to_end(&self) {
        self.sandbox.set_frozen(Frozen::Never);
        if let Err(error) = self.set_frozen(false).await {
            // Then it is killed after its grace, which thaws as well.
            warn!(sandbox.id = %self.sandbox.id(), error = chain(&error), "could not resume a sandbox that is to end");
        }
    }

    /// Whether the kernel holds it frozen.
    pub(super) async fn is_frozen(&self) -> bool {
        let (shared, id) = (Arc::clone(&self.shared), self.sandbox.id());
        let look = self.blocking(move || Ok(shared.cgroups.is_frozen(id)));
        look.await.unwrap_or(false)
    }

    async fn set_frozen(&self, is_frozen: bool) -> io::Result<()> {
        let (shared, id) = (Arc::clone(&self.shared), self.sandbox.id());
        // An archiving that is given up by this very wish ends soon.
        let _still = self.sandbox.stillness.lock().await;
        self.blocking(move || {
            if is_frozen {
                shared.cgroups.freeze(id)
            } else {
                shared.cgroups.thaw(id)
            }
        })
        .await
    }

    fn show_frozen(&self, is_frozen: bool) {
        let (View::Running { since, address } | View::Paused { since, address }) =
            self.sandbox.view()
        else {
            return;
        };
        let view = if is_frozen {
            View::Paused { since, address }
        } else {
            View::Running { since, address }
        };
        self.shared.show(&self.sandbox, view);
    }
}
