//! From a recorded wish to a process 1 that runs.

use std::sync::Arc;
use std::time::Duration;

use palisade_image::{Image, Progress};
use palisade_model::quantity::Quantity;
use palisade_model::sandbox::Launch;
use palisade_model::secret::SecretValues;
use tokio::time;
use tracing::{info, warn};

use super::{Driver, chain};
use crate::container::{self, Host, Identity, Limits, Runtime, Start};
use crate::file_system::Made;
use crate::init_config;
use crate::laps::{Lap, Laps};
use crate::machine;
use crate::program;
use crate::sandbox::Sandbox;
use crate::secrets;
use crate::shared::Shared;
use crate::state::{self, End};

/// How long a sandbox waits for the values of its secrets; a gateway that is away
/// for longer is not waited for.
const SECRETS_WAIT_MAX: Duration = Duration::from_mins(10);

impl Driver {
    /// Starts the sandbox, or tells how it ended without having started.
    pub(super) async fn start(&self) -> Result<(), End> {
        self.unless_stopped()?;
        self.book().await?;
        self.show_starting("getting the image");
        let image = self.image().await?;
        let file_system = self.file_system().await?;
        let secrets = self.secrets().await?;
        self.show_starting("waiting for its turn to start");
        let turn = Arc::clone(&self.shared.starts).acquire_owned().await;
        let turn = turn.map_err(|_| self.failed("the runner is closing"))?;
        self.unless_stopped()?;
        self.show_starting("starting");
        let cgroups = self.shared.cgroups.clone();
        self.shared
            .tasks
            .spawn_blocking(move || cgroups.pass_pause());
        let attempt = Attempt {
            shared: Arc::clone(&self.shared),
            sandbox: Arc::clone(&self.sandbox),
            secrets,
        };
        let started = self.blocking(move || {
            let outcome = attempt.run(image, file_system.as_ref());
            drop(turn);
            Ok(outcome)
        });
        match started.await {
            Ok(Ok(())) => {
                info!(sandbox.id = %self.sandbox.id(), "sandbox is started");
                Ok(())
            }
            Ok(Err(reason)) => Err(self.failed(&reason)),
            Err(error) => Err(self.failed(&chain(&error))),
        }
    }

    /// The end of a sandbox that was stopped before it started.
    fn unless_stopped(&self) -> Result<(), End> {
        if !self.sandbox.is_stop_asked() {
            return Ok(());
        }
        Err(self.stopped())
    }

    pub(super) fn stopped(&self) -> End {
        End::Ended {
            since: None,
            at: self.shared.config.clock.now(),
            exit: None,
            reason: "it was stopped before it started".to_owned(),
            stopped: true,
        }
    }

    pub(super) fn failed(&self, reason: &str) -> End {
        warn!(sandbox.id = %self.sandbox.id(), reason, "sandbox could not be started");
        End::Failed {
            at: self.shared.config.clock.now(),
            reason: reason.to_owned(),
        }
    }

    /// Waits for the values of secrets that the gateway finds. After a restart
    /// they come with the launch once more.
    async fn secrets(&self) -> Result<SecretValues, End> {
        let (id, needed) = (self.sandbox.id(), &self.sandbox.launch.secrets);
        if let Some(values) = self.shared.handed.take(id, needed) {
            return Ok(values);
        }
        self.show_starting("waiting for the values of its secrets");
        let mut wishes = self.sandbox.wishes();
        let values = self.shared.handed.wait(id, needed);
        tokio::select! {
            biased;
            _ = wishes.wait_for(|wish| wish.stop_by.is_some()) => Err(self.stopped()),
            values = time::timeout(SECRETS_WAIT_MAX, values) => values.map_err(|_| {
                self.failed("the values of its secrets did not come; is the gateway there?")
            }),
        }
    }

    /// Gets the image and keeps it on the disk, unless the sandbox is stopped.
    async fn image(&self) -> Result<Arc<Image>, End> {
        let reference = &self.sandbox.launch.workload.image;
        let holder = self.shared.holder(self.sandbox.id());
        let holder = holder.map_err(|error| self.failed(&chain(&error)))?;
        let images = &self.shared.config.images;
        let mut wishes = self.sandbox.wishes();
        let progress = Progress::none();
        tokio::select! {
            biased;
            // What was fetched of the image stays for the next one who asks.
            _ = wishes.wait_for(|wish| wish.stop_by.is_some()) => Err(self.stopped()),
            image = images.ensure(reference, &holder, &progress) => {
                image.map_err(|error| self.failed(&format!("image {reference}: {}", chain(&error))))
            }
        }
    }
}

/// What a sandbox is put together from.
struct Parts<'a> {
    image: Arc<Image>,
    identity: &'a Identity,
    file_system: Option<&'a Made>,
}

/// One attempt to start a sandbox, on a thread that may block.
struct Attempt {
    shared: Arc<Shared>,
    sandbox: Arc<Sandbox>,
    secrets: SecretValues,
}

impl Attempt {
    fn run(&self, image: Arc<Image>, file_system: Option<&Made>) -> Result<(), String> {
        let state = &self.sandbox.state;
        let held = state::hold(&state.starting_file()).map_err(|error| chain(&error))?;
        let held = held.ok_or("another attempt to start it is under way")?;
        // Freeing waits for the lock, so this is seen by one side or the other.
        if self.sandbox.is_unwanted() {
            return Err("it was removed before it started".to_owned());
        }
        let mut laps = Laps::begin();
        let identity = self
            .shared
            .identities
            .take()
            .map_err(|error| chain(&error))?;
        state.make_disk(identity.first()).map_err(|error| {
            self.shared.identities.give_back(identity.first());
            chain(&error)
        })?;
        laps.end(Lap::Disk);
        let made = Parts {
            image,
            identity: &identity,
            file_system,
        };
        self.start(made, held, &mut laps)?;
        laps.tell(self.sandbox.id());
        Ok(())
    }

    fn start(
        &self,
        parts: Parts<'_>,
        starting: state::Held,
        laps: &mut Laps,
    ) -> Result<(), String> {
        let Parts {
            image,
            identity,
            file_system,
        } = parts;
        let (shared, launch) = (&self.shared, &self.sandbox.launch);
        let class = launch.runtime_class.as_ref();
        let class = class.unwrap_or(&shared.config.default_class);
        let handler = shared.config.handlers.get(class).ok_or_else(|| {
            let name = class.as_str();
            format!("runtime class {name:?} is not configured on this runner any more")
        })?;
        let root = shared.state.runtime(class.as_str());
        if !shared.init.exists() {
            program::install(&shared.init).map_err(|error| chain(&error))?;
        }
        let own = shared.config.own_secrets.as_deref();
        let secrets = secrets::all(&launch.secrets, &self.secrets, own);
        let secrets = secrets.map_err(|error| chain(&error))?;
        let config = init_config::of(launch, &image, &secrets).map_err(|error| chain(&error))?;
        let start = Start {
            launch,
            image,
            identity,
            file_system: file_system.map(Made::mount),
            limits: self.limits(launch),
            config,
            runtime: Runtime {
                class: class.as_str(),
                handler,
                root: &root,
            },
            state: &self.sandbox.state,
            host: Host {
                network: &shared.network,
                cgroups: &shared.cgroups,
                mount_point: &shared.state.mount_point(),
                init: &shared.init,
            },
            starting,
        };
        container::start(&start, laps).map_err(|error| chain(&error))
    }

    fn limits(&self, launch: &Launch) -> Limits {
        let resources = &launch.resources;
        Limits {
            cpu_request_millis: resources.cpu_request.as_ref().and_then(Quantity::to_millis),
            cpu_limit_millis: resources.cpu_limit.as_ref().and_then(Quantity::to_millis),
            memory_limit_bytes: resources.memory_limit.as_ref().and_then(Quantity::to_units),
            is_swap_limited: self.shared.cgroups.limits_swap(),
            pids_max: self.shared.config.pids_max,
            files_max: machine::files_max(),
        }
    }
}
