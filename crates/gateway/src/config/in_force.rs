//! The configuration in force. Another may take its place while the node runs.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Config;

/// What everybody looks at who wants to know what holds now.
pub struct InForce(ArcSwap<Config>);

/// What holds at this moment. It costs no more than a look at a counter of the thread's own, as long as it is not kept:
/// whoever waits in between takes [`InForce::held`].
pub type Now = Guard<Arc<Config>>;

impl InForce {
    /// What holds at this moment.
    pub fn now(&self) -> Now {
        self.0.load()
    }

    /// The same, to be kept.
    pub fn held(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub fn replace(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}

impl From<Config> for InForce {
    fn from(config: Config) -> Self {
        Self(ArcSwap::from_pointee(config))
    }
}
