//! The memory bus keeps the contract.

use std::sync::Arc;

use async_trait::async_trait;
use bus::{
    Bus, MemoryHub, Retention,
    conformance::{self, Cluster},
};

struct Memory(Arc<MemoryHub>);

#[async_trait]
impl Cluster for Memory {
    async fn node(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.node("memory"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let retention = Retention { length: conformance::LENGTH, age_ms: 3_600_000 };
    conformance::check(&Memory(MemoryHub::new(retention))).await;
}
