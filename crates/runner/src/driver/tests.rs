use std::sync::Mutex;

use palisade_backend::fake::{Fake, World};
use palisade_model::name::RuntimeClass;
use palisade_model::runner::Capabilities;
use palisade_model::sandbox::{Exit, State};
use palisade_model::secret::SecretValues;
use palisade_model::testing::sample_launch;
use tokio_util::task::TaskTracker;

use super::*;
use crate::registry::Registry;

const LIMIT: Duration = Duration::from_mins(1);

/// A clock that goes with the paused time of the test.
#[derive(Debug)]
struct TestClock(time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.saturating_add(self.0.elapsed())
    }
}

/// Drivers over a fake backend, and what they told.
struct Plane {
    world: Arc<World>,
    registry: Registry,
    outbox: Arc<Outbox>,
    stop: CancellationToken,
    tasks: TaskTracker,
    told: Mutex<Vec<(SandboxId, Observation)>>,
}

impl Plane {
    fn new() -> Self {
        Self::over(Arc::new(World::default()))
    }

    /// Ends the drivers; what they drove goes on.
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        let ended = time::timeout(LIMIT, self.tasks.wait()).await;
        ended.expect("drivers end");
    }

    fn over(world: Arc<World>) -> Self {
        let outbox = Arc::new(Outbox::default());
        let tools = Tools {
            backend: Arc::new(Fake::open(world.clone())),
            clock: Arc::new(TestClock(time::Instant::now())),
            outbox: outbox.clone(),
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self {
            world,
            registry: Registry::new(tools, tasks.clone(), stop.clone()),
            outbox,
            stop,
            tasks,
            told: Mutex::default(),
        }
    }

    fn launch(&self, command: &str) -> SandboxId {
        self.launch_with(command, |_| {})
    }

    fn launch_with(&self, command: &str, change: impl FnOnce(&mut Launch)) -> SandboxId {
        let mut launch = sample_launch();
        launch.workload.image = palisade_backend::fake::IMAGE.parse().unwrap();
        launch.workload.command = command.split(' ').map(str::to_owned).collect();
        change(&mut launch);
        let id = launch.id;
        self.registry.launch(launch, SecretValues::default());
        id
    }

    /// Waits until a state is told that `holds`.
    async fn told(&self, holds: impl Fn(State) -> bool) -> Observation {
        let seen = time::timeout(LIMIT, async {
            while !self.last().is_some_and(|news| holds(news.state)) {
                let news = self.outbox.next().await;
                self.told.lock().unwrap().push(news);
            }
        });
        let seen = seen.await;
        assert!(
            seen.is_ok(),
            "only these were told: {:?}",
            self.told.lock().unwrap()
        );
        self.last().unwrap()
    }

    fn last(&self) -> Option<Observation> {
        let told = self.told.lock().unwrap();
        told.last().map(|(_, news)| news.clone())
    }

    async fn gone(&self, id: SandboxId) {
        let gone = time::timeout(LIMIT, async {
            while self.world.ids().contains(&id) || self.registry.ids().contains(&id) {
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        gone.await.expect("the sandbox goes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_launch_runs_and_its_end_is_told() {
    let plane = Plane::new();
    plane.launch("fake exit 3");
    let end = plane.told(State::is_terminal).await;
    assert_eq!(end.state, State::Completed(Exit(3)));
}

#[tokio::test(start_paused = true)]
async fn numbers_of_observations_grow() {
    let plane = Plane::new();
    plane.launch("fake exit 0");
    plane.told(State::is_terminal).await;
    let told = plane.told.lock().unwrap();
    let numbers: Vec<u64> = told.iter().map(|(_, news)| news.number).collect();
    assert!(
        numbers.is_sorted_by(|left, right| left < right),
        "{numbers:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_sandbox() {
    let plane = Plane::new();
    let id = plane.launch("fake until-stopped");
    plane.told(|state| state == State::Running).await;
    plane.registry.stop(id, LIMIT);
    let end = plane.told(State::is_terminal).await;
    assert_eq!(end.state, State::Completed(Exit(143)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_start_means_that_nothing_starts() {
    let plane = Plane::new();
    let id = sample_launch().id;
    plane.registry.stop(id, LIMIT);
    let end = plane.told(State::is_terminal).await;
    assert_eq!(end.state, State::Terminated(None));
    assert!(plane.world.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_the_sandbox_by_itself() {
    let plane = Plane::new();
    plane.launch_with("fake until-stopped", |launch| {
        launch.max_lifetime = Some(Duration::from_secs(5));
    });
    let end = plane.told(State::is_terminal).await;
    assert!(matches!(end.state, State::Terminated(_)), "{end:?}");
    assert!(end.reason.contains("5 s"), "{}", end.reason);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_backend_is_told_with_its_reason() {
    let plane = Plane::new();
    plane.launch_with("fake exit 0", |launch| {
        launch.runtime_class = Some(RuntimeClass::new("gvisor").unwrap());
    });
    let end = plane.told(State::is_terminal).await;
    assert_eq!(end.state, State::Failed(None));
    assert!(end.reason.contains("gvisor"), "{}", end.reason);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_is_paused_and_resumed_as_it_is_wished() {
    let plane = Plane::new();
    let id = plane.launch("fake until-stopped");
    plane.registry.set_paused(id, true);
    let paused = plane.told(|state| state == State::Paused).await;
    assert!(paused.reason.contains("paused"), "{}", paused.reason);
    plane.registry.set_paused(id, false);
    let running = plane.told(|state| state == State::Running).await;
    assert_eq!(running.reason, "");
}

#[tokio::test(start_paused = true)]
async fn a_paused_sandbox_ends_at_its_lifetime() {
    let plane = Plane::new();
    let id = plane.launch_with("fake until-stopped", |launch| {
        launch.max_lifetime = Some(Duration::from_secs(5));
    });
    plane.registry.set_paused(id, true);
    plane.told(|state| state == State::Paused).await;
    let end = plane.told(State::is_terminal).await;
    assert!(matches!(end.state, State::Terminated(_)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_runner_leaves_what_is_paused_as_it_is() {
    let first = Plane::new();
    let id = first.launch("fake until-stopped");
    first.registry.set_paused(id, true);
    first.told(|state| state == State::Paused).await;
    first.end().await;

    let second = Plane::over(first.world.clone());
    second.registry.adopt().await.unwrap();
    second.told(|state| state == State::Paused).await;
    second.registry.set_paused(id, false);
    second.told(|state| state == State::Running).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unwanted_goes_and_its_driver_too() {
    let plane = Plane::new();
    let id = plane.launch("fake ignore-stop");
    plane.told(|state| state == State::Running).await;
    plane.registry.remove(id);
    plane.gone(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_runner_adopts_what_runs_and_tells_of_it() {
    let first = Plane::new();
    let id = first.launch("fake until-stopped");
    first.told(|state| state == State::Running).await;
    first.end().await;

    let second = Plane::over(first.world.clone());
    assert_eq!(second.registry.adopt().await.unwrap(), 1);
    second.told(|state| state == State::Running).await;
    second.registry.stop(id, LIMIT);
    second.told(State::is_terminal).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_does_not_keep_is_removed() {
    let plane = Plane::new();
    let id = plane.launch("fake until-stopped");
    plane.told(|state| state == State::Running).await;
    plane.registry.retain(&[id].into());
    plane.registry.retain(&[].into());
    plane.gone(id).await;
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_cannot_be_read_fails_with_a_reason() {
    let plane = Plane::new();
    plane.registry.refuse(sample_launch().id, "too new");
    let end = plane.told(State::is_terminal).await;
    assert_eq!(
        (end.state, end.reason.as_str()),
        (State::Failed(None), "too new")
    );
}

#[tokio::test(start_paused = true)]
async fn another_capability_set_changes_what_is_refused() {
    let fake = Fake::open(Arc::new(World::default())).with_capabilities(Capabilities::default());
    let outbox = Arc::new(Outbox::default());
    let tools = Tools {
        backend: Arc::new(fake),
        clock: Arc::new(TestClock(time::Instant::now())),
        outbox: outbox.clone(),
    };
    let registry = Registry::new(tools, TaskTracker::new(), CancellationToken::new());
    registry.launch(sample_launch(), SecretValues::default());
    let (_, news) = time::timeout(LIMIT, outbox.next()).await.unwrap();
    assert_eq!(news.state, State::Failed(None));
    assert!(news.reason.contains("none"), "{}", news.reason);
}
