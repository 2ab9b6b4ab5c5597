//! What was acknowledged outlives the process, however that ends.
//!
//! A child writes records and prints the name of each one that the store
//! acknowledged, until it is killed with a signal that it cannot see coming.
//! The child is this test binary, asked for its one ignored test.
#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use palisade_model::id::ProfileId;
use palisade_model::name::{DisplayName, OrganizationId};
use palisade_store::conformance::fixture::{fleet, new_profile, parsed, profile, stamp};
use palisade_store::profile::{NewProfile, ProfileUpdate};
use palisade_store::{PageRequest, PageSize, Profiles as _, Sequence, SqliteStore, Store};
use uuid::Uuid;

const FILE: &str = "PALISADE_TEST_DATABASE";
const ACKNOWLEDGED: &str = "acknowledged ";
const ROUNDS: usize = 4;

/// Writes for ever; run by the test below, in a process of its own.
#[tokio::test]
#[ignore = "it is the child of another test, and ends by being killed"]
async fn child_that_writes_until_it_is_killed() {
    let path = std::env::var_os(FILE).expect("the parent names the database");
    let store = SqliteStore::open(path).await.unwrap();
    let acme: OrganizationId = parsed("acme");
    let process = std::process::id();
    for number in 0_u64.. {
        let name = format!("profile {process} {number}");
        // Ids of the fixture start anew in every process.
        let id = Uuid::from_u64_pair(process.into(), number);
        let new = NewProfile {
            id: ProfileId::new(id),
            ..new_profile(&name)
        };
        let stamp = stamp();
        let created = store
            .create_profile(&acme, new, stamp.clone())
            .await
            .unwrap();
        let update = ProfileUpdate {
            description: Some("updated".to_owned()),
            ..ProfileUpdate::default()
        };
        store
            .update_profile(&acme, created.id, update, stamp)
            .await
            .unwrap();
        println!("{ACKNOWLEDGED}{name}");
    }
}

/// Lets a child write `count` records at least, and kills it on the way.
fn acknowledged_by_a_killed_child(path: &Path, count: usize) -> Vec<DisplayName> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("child_that_writes_until_it_is_killed")
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut names = Vec::new();
    for line in output.lines() {
        if let Some(name) = line.unwrap().strip_prefix(ACKNOWLEDGED) {
            names.push(parsed(name));
        }
        if names.len() == count {
            // What it still prints until it dies is read to its end.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(names.len() >= count, "the child wrote until it was killed");
    names
}

async fn stored(store: &dyn Store, organization: &OrganizationId) -> Vec<(DisplayName, String)> {
    let mut found = Vec::new();
    let mut request = PageRequest::first(PageSize::MAX);
    loop {
        let page = store.list_profiles(organization, request).await.unwrap();
        found.extend(
            page.items
                .into_iter()
                .map(|each| (each.display_name, each.description)),
        );
        match page.next {
            Some(next) => {
                request = PageRequest {
                    after: Some(next),
                    size: PageSize::MAX,
                }
            }
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_is_there_after_the_writer_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let acme = {
        let store = SqliteStore::open(&path).await.unwrap();
        fleet(&store, "acme").await.organization
    };
    let mut acknowledged: Vec<DisplayName> = Vec::new();
    for round in 0..ROUNDS {
        let child_path = path.clone();
        let names = tokio::task::spawn_blocking(move || {
            acknowledged_by_a_killed_child(&child_path, 5 + 7 * round)
        });
        let names = tokio::time::timeout(Duration::from_mins(2), names).await;
        acknowledged.extend(names.unwrap().unwrap());
        let store = SqliteStore::open(&path).await.unwrap();
        store.check_integrity().await.unwrap();
        let stored = stored(&store, &acme).await;
        for name in &acknowledged {
            let found = stored.iter().find(|(stored, _)| stored == name);
            let (_, description) = found.unwrap_or_else(|| unreachable!("{name} was lost"));
            assert_eq!(description, "updated");
        }
        feed_is_whole(&store).await;
        // It still takes writes.
        profile(&store, &acme, &format!("round {round}")).await;
    }
}

/// Every change that the head counts is there.
async fn feed_is_whole(store: &dyn Store) {
    let mut place = Sequence::START;
    let mut count = 0;
    loop {
        let changes = store.changes_after(place, PageSize::MAX).await.unwrap();
        count += changes.len();
        let Some(last) = changes.last() else { break };
        place = last.sequence;
    }
    assert_eq!(store.head().await.unwrap(), place);
    assert!(count > 0);
}
