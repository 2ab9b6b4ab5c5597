//! The fake keeps the contracts that it stands in for.

use std::sync::Arc;

use async_trait::async_trait;
use palisade_backend::conformance::{Harness, Job};
use palisade_backend::fake::{self, Fake, World};
use palisade_backend::{Attach, Backend, conformance_tests};
use palisade_model::id::SandboxId;

#[derive(Debug)]
struct FakeHarness {
    world: Arc<World>,
    fake: Fake,
}

impl FakeHarness {
    fn new() -> Self {
        let world = Arc::new(World::default());
        let fake = Fake::open(world.clone());
        Self { world, fake }
    }
}

#[async_trait]
impl Harness for FakeHarness {
    fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.fake.clone())
    }

    fn attach(&self) -> Arc<dyn Attach> {
        Arc::new(self.fake.clone())
    }

    fn command(&self, job: &Job) -> Vec<String> {
        fake::command(job)
    }

    fn image(&self) -> String {
        fake::IMAGE.to_owned()
    }

    async fn crash_and_reopen(&mut self) {
        self.fake = Fake::open(self.world.clone());
    }

    async fn leftovers(&self, id: SandboxId) -> Vec<String> {
        let left = self.world.ids();
        left.iter()
            .filter(|left| **left == id)
            .map(ToString::to_string)
            .collect()
    }
}

conformance_tests!(FakeHarness::new());
