//! The Linux backend keeps the contracts of backends, with real containers.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use palisade_backend::conformance::{Harness, Job};
use palisade_backend::{Attach, Backend, conformance_tests};
use palisade_backend_linux::LinuxBackend;
use palisade_model::id::SandboxId;

use support::{IMAGE, Place};

#[derive(Debug)]
struct LinuxHarness {
    backend: Option<Arc<LinuxBackend>>,
    place: Place,
}

impl LinuxHarness {
    async fn new() -> Self {
        let place = Place::new();
        let backend = Some(place.open().await);
        Self { backend, place }
    }

    fn open(&self) -> Arc<LinuxBackend> {
        Arc::clone(
            self.backend
                .as_ref()
                .expect("it is open between the steps of a test"),
        )
    }
}

fn shell(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

#[async_trait]
impl Harness for LinuxHarness {
    fn backend(&self) -> Arc<dyn Backend> {
        self.open()
    }

    fn attach(&self) -> Arc<dyn Attach> {
        self.open()
    }

    fn command(&self, job: &Job) -> Vec<String> {
        let lines = |count: &u32| {
            format!("i=0; while [ $i -lt {count} ]; do echo line $i; i=$((i+1)); done")
        };
        match job {
            Job::RunUntilStopped => shell("exec sleep 1000"),
            Job::IgnoreStop => shell("trap '' TERM; while true; do sleep 1; done"),
            Job::ExitWith(code) => shell(&format!("exit {code}")),
            Job::PrintLines(count) => shell(&format!("{}; exec sleep 1000", lines(count))),
            Job::PrintLinesAndExit(count) => shell(&lines(count)),
            Job::Cat => vec!["/bin/cat".to_owned()],
            Job::PrintBoth(code) => shell(&format!("echo out; echo err >&2; exit {code}")),
            Job::PrintBytes(count) => shell(&format!("head -c {count} /dev/zero | tr '\\0' x")),
            Job::NoSuchProgram => vec!["/no/such/program".to_owned()],
            Job::KillSelf => shell("kill -9 $$"),
        }
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn crash_and_reopen(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.close().await;
            let last = Arc::try_unwrap(backend);
            assert!(
                last.is_ok(),
                "somebody still holds the backend that crashes"
            );
        }
        self.backend = Some(self.place.open().await);
    }

    async fn leftovers(&self, id: SandboxId) -> Vec<String> {
        self.place.leftovers(id)
    }
}

conformance_tests!(LinuxHarness::new().await);
