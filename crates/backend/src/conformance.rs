//! The contracts of [`Backend`] and [`Attach`] as tests, a sentence each.
//!
//! An implementation brings a [`Harness`] and calls [`conformance_tests!`]; a
//! test that fails names the sentence that is broken. Waiting is always for a
//! state and always ends.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use palisade_model::id::{ProfileId, SandboxId};
use palisade_model::name::DnsLabel;
use palisade_model::profile::EgressMode;
use palisade_model::sandbox::{
    AppliedEgress, GrantedResources, Launch, LaunchNamespace, Owner, PodMetadata, Workload,
};
use tokio::time;

use crate::{Attach, Backend, Sighting, View};

pub mod attach;
pub mod life;
pub mod pausing;
pub mod secrets;
pub mod tunnel;

/// The longest that any state is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a test process should do inside a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Run until it is asked to end, then end at once.
    RunUntilStopped,
    /// Run and ignore being asked to end.
    IgnoreStop,
    /// End at once with this code.
    ExitWith(u8),
    /// Print lines `line 0` … to standard output, then run until stopped.
    PrintLines(u32),
    /// Print lines `line 0` …, then end with code 0.
    PrintLinesAndExit(u32),
    /// Copy standard input to standard output until its end.
    Cat,
    /// Print `out` to standard output and `err` to standard error, then end
    /// with this code.
    PrintBoth(u8),
    /// Print this many bytes of `x` and end.
    PrintBytes(u64),
    /// Run a program that does not exist.
    NoSuchProgram,
    /// Die of signal 9 by its own hand.
    KillSelf,
    /// Listen at this port of the loopback; send back what comes over each
    /// connection, and end that direction once the other one ended.
    Echo(u16),
}

/// An implementation under test.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// The backend.
    fn backend(&self) -> Arc<dyn Backend>;

    /// The same backend's other half.
    fn attach(&self) -> Arc<dyn Attach>;

    /// A command line that does the job inside a sandbox of this backend.
    fn command(&self, job: &Job) -> Vec<String>;

    /// An image that exists for this backend.
    fn image(&self) -> String;

    /// Forgets everything in memory and opens the backend anew, as after a crash.
    async fn crash_and_reopen(&mut self);

    /// What is left of the sandbox anywhere, in words; empty when nothing is.
    async fn leftovers(&self, id: SandboxId) -> Vec<String>;
}

/// A launch of the job under a profile that denies everything.
pub fn launch(harness: &dyn Harness, job: &Job) -> Launch {
    launch_command(harness, harness.command(job))
}

/// A launch of a command under a profile that denies everything.
pub fn launch_command(harness: &dyn Harness, command: Vec<String>) -> Launch {
    let id = SandboxId::new(fresh_uuid());
    let name = |text: &str| text.to_owned();
    Launch {
        id,
        owner: Owner {
            organization: parsed("conformance"),
            user: parsed("tester"),
        },
        runner: parsed("local"),
        profile: ProfileId::new(fresh_uuid()),
        profile_name: parsed("deny-all"),
        workload: Workload {
            image: parsed(&harness.image()),
            command,
            environment: BTreeMap::from([(name("CW_SANDBOX_ID"), id.to_string())]),
        },
        resources: GrantedResources::default(),
        runtime_class: None,
        instance_types: Vec::new(),
        node_selector: BTreeMap::new(),
        namespace: LaunchNamespace {
            name: parsed::<DnsLabel>("conformance"),
            auto_create: true,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        },
        egress: AppliedEgress {
            name: parsed("deny-all"),
            mode: EgressMode::None,
        },
        exposure: None,
        ports: Vec::new(),
        secrets: Vec::new(),
        mounted_files: Vec::new(),
        file_system: None,
        metadata: PodMetadata::default(),
        pod: None,
        max_lifetime: None,
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: Debug,
{
    text.parse().expect("the tests use valid names")
}

/// Tests may run in many processes at once, so that counting is not enough.
fn fresh_uuid() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}

/// Starts the job and waits until its main process runs or is over.
pub async fn start(harness: &dyn Harness, job: &Job) -> SandboxId {
    let launch = launch(harness, job);
    let backend = harness.backend();
    backend
        .ensure(&launch)
        .await
        .expect("the launch is taken on");
    wait_for(harness, launch.id, |view| {
        !matches!(view, View::Starting(_))
    })
    .await;
    launch.id
}

/// Waits until the sandbox is seen in a state that `holds`.
///
/// # Panics
///
/// When it does not get there within [`PATIENCE`].
pub async fn wait_for(harness: &dyn Harness, id: SandboxId, holds: impl Fn(&View) -> bool) -> View {
    let backend = harness.backend();
    let mut changes = backend.changes(id);
    let mut last = None;
    let reached = time::timeout(PATIENCE, async {
        loop {
            changes.mark_unchanged();
            let seen = backend.get(id).await.expect("the backend can be looked at");
            last = seen.as_ref().map(|sighting| sighting.view.clone());
            if let Some(Sighting { view, .. }) = seen
                && holds(&view)
            {
                return view;
            }
            // The hint may be missing; looking again without it is allowed.
            let _ = time::timeout(Duration::from_millis(100), changes.changed()).await;
        }
    });
    match reached.await {
        Ok(view) => view,
        Err(_) => unreached(id, last.as_ref()),
    }
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn unreached(id: SandboxId, last: Option<&View>) -> ! {
    panic!("sandbox {id} was last seen as {last:?}")
}

/// Waits until nothing of the sandbox runs any more.
pub async fn wait_until_over(harness: &dyn Harness, id: SandboxId) -> View {
    wait_for(harness, id, View::is_over).await
}

/// Makes a test of every sentence of both contracts, for a harness that the
/// expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@life $harness;
            a_sandbox_runs_and_tells_how_it_ended,
            a_second_ensure_starts_nothing,
            a_sandbox_that_ended_is_not_started_again,
            after_a_crash_everything_is_listed_with_its_launch,
            after_a_crash_the_end_is_still_seen,
            an_end_during_a_crash_is_seen_after_it,
            a_stop_asks_and_the_process_ends,
            a_process_that_ignores_the_stop_is_killed_after_the_grace,
            a_later_stop_shortens_the_grace,
            stopping_what_ended_or_never_was_succeeds,
            a_death_by_signal_is_told_as_a_shell_does,
            a_program_that_does_not_exist_ends_with_127,
            an_unknown_runtime_class_is_refused,
            an_egress_mode_that_is_not_enforced_is_refused,
            an_image_that_does_not_exist_fails_with_a_reason,
            removing_leaves_nothing,
            removing_twice_or_what_never_was_succeeds,
            removing_a_running_sandbox_ends_it,
            an_ensure_that_is_dropped_half_way_can_be_removed,
            many_sandboxes_at_once_do_not_mix,
        );
        $crate::conformance_tests!(@pausing $harness;
            nothing_in_a_paused_sandbox_runs_until_it_is_resumed,
            commands_and_files_in_a_paused_sandbox_are_refused,
            logs_of_a_paused_sandbox_can_be_read,
            following_a_paused_sandbox_since_an_instant_tells_nothing_older,
            a_paused_sandbox_is_shown_as_such_after_a_crash,
            pausing_and_resuming_twice_succeeds,
            what_does_not_run_can_be_neither_paused_nor_resumed,
            a_paused_sandbox_ends_when_it_is_asked_to,
            a_paused_sandbox_can_be_removed,
        );
        $crate::conformance_tests!(@secrets $harness;
            secrets_are_in_the_environment_and_in_nothing_that_is_listed,
            without_the_values_of_its_secrets_a_sandbox_does_not_start,
        );
        $crate::conformance_tests!(only attach: $harness);
    };
    (only attach: $harness:expr) => {
        $crate::conformance_tests!(@attach $harness;
            output_and_exit_of_a_command_are_told,
            a_command_that_does_not_exist_exits_with_127,
            input_reaches_the_command_and_its_end_too,
            dropping_the_input_is_not_a_cancellation,
            the_exit_is_told_while_input_is_open,
            dropping_an_exec_kills_the_command,
            a_slow_reader_loses_nothing,
            the_environment_of_a_command_is_its_own_and_the_sandbox_s,
            commands_in_what_is_not_there_are_refused,
            logs_are_those_of_the_main_process_only,
            logs_can_be_read_from_an_offset,
            the_last_lines_can_be_read,
            the_last_lines_since_an_instant_can_be_read,
            an_offset_behind_the_end_is_refused,
            following_logs_ends_with_the_main_process,
            logs_can_be_read_after_the_end_and_after_a_crash,
            a_file_reads_as_it_was_written,
            a_file_is_replaced_as_a_whole,
            a_file_whose_rest_never_comes_leaves_the_old_one,
            every_problem_with_a_file_has_its_own_error,
        );
        $crate::conformance_tests!(@tunnel $harness;
            bytes_go_through_a_tunnel_and_come_back,
            the_end_of_one_direction_leaves_the_other_open,
            a_slow_reader_of_a_tunnel_loses_nothing,
            many_tunnels_at_once_do_not_mix,
            a_port_where_nobody_listens_is_refused,
            tunnels_into_what_is_not_there_are_refused,
            dropping_the_events_ends_the_connection,
        );
    };
    (@life $harness:expr; $($name:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = $harness;
            $crate::conformance::life::$name(&mut harness).await;
        })*
    };
    (@pausing $harness:expr; $($name:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = $harness;
            $crate::conformance::pausing::$name(&mut harness).await;
        })*
    };
    (@secrets $harness:expr; $($name:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = $harness;
            $crate::conformance::secrets::$name(&mut harness).await;
        })*
    };
    (@tunnel $harness:expr; $($name:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = $harness;
            $crate::conformance::tunnel::$name(&mut harness).await;
        })*
    };
    (@attach $harness:expr; $($name:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut harness = $harness;
            $crate::conformance::attach::$name(&mut harness).await;
        })*
    };
}
