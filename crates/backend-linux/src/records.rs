//! A file that says which names sandboxes are to be found under, for whatever keeps them.
//!
//! Names outside of the platform are kept by others: a DNS server that reads a file, or
//! a script. They learn from this one file what there is now: it has an entry for each running sandbox
//! whose ingress level has a `dnsAnnotation`, with its key and value as the profile
//! gives them. It is replaced whole, so that nobody reads half of it; what fails to
//! be written is written with the next change.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use palisade_model::id::SandboxId;
use serde_json::{Value, json};
use tracing::warn;

use crate::room;

/// Where a sandbox is found, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<u16>,
    pub(crate) service_address: String,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Records {
    path: PathBuf,
    entries: Mutex<BTreeMap<SandboxId, Record>>,
}

impl Records {
    /// Writes the file with these entries; on a full disk, with the next change.
    pub(crate) fn open(path: PathBuf, entries: BTreeMap<SandboxId, Record>) -> io::Result<Self> {
        match write(&path, &entries) {
            Err(error) if room::is_missing(&error) => untold(&path, &error),
            written => written?,
        }
        Ok(Self {
            path,
            entries: Mutex::new(entries),
        })
    }

    /// Has a sandbox found. Blocks.
    pub(crate) fn insert(&self, sandbox: SandboxId, record: Record) {
        self.change(|entries| entries.insert(sandbox, record.clone()) != Some(record));
    }

    /// Has it found no more. Blocks.
    pub(crate) fn remove(&self, sandbox: SandboxId) {
        self.change(|entries| entries.remove(&sandbox).is_some());
    }

    /// The lock is held while the file is written, so that the last change is the
    /// last that is written.
    fn change(&self, act: impl FnOnce(&mut BTreeMap<SandboxId, Record>) -> bool) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !act(&mut entries) {
            return;
        }
        if let Err(error) = write(&self.path, &entries) {
            untold(&self.path, &error);
        }
    }
}

fn untold(path: &Path, error: &io::Error) {
    let path = path.display();
    warn!(%path, %error, "could not write down the names of sandboxes");
}

fn write(path: &Path, entries: &BTreeMap<SandboxId, Record>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let mut file = File::create(&temporary)?;
    let records = entries.iter().map(entry).collect::<Vec<_>>();
    let document = json!({ "records": records });
    file.write_all(format!("{document:#}\n").as_bytes())?;
    std::fs::rename(temporary, path)
}

fn entry((sandbox, record): (&SandboxId, &Record)) -> Value {
    let Record {
        key,
        value,
        addresses,
        ports,
        service_address,
    } = record;
    json!({
        "sandbox_id": sandbox.to_string(),
        "key": key,
        "value": value,
        "addresses": addresses,
        "ports": ports,
        "service_address": service_address,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> SandboxId {
        SandboxId::new(Uuid::from_u128(number))
    }

    fn record(value: &str) -> Record {
        Record {
            key: "external-dns.alpha.kubernetes.io/hostname".to_owned(),
            value: value.to_owned(),
            addresses: vec![[203, 0, 113, 16].into()],
            ports: vec![80],
            service_address: "203.0.113.16:80".to_owned(),
        }
    }

    #[test]
    fn the_file_tells_of_exactly_those_that_there_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("records.json");
        let read = || {
            let text = std::fs::read(&path).unwrap();
            let document: Value = serde_json::from_slice(&text).unwrap();
            let records = document["records"].as_array().unwrap();
            let values = records.iter().map(|record| record["value"].to_string());
            values.collect::<Vec<_>>()
        };
        let before = BTreeMap::from([(id(1), record("a.example.com"))]);
        let records = Records::open(path.clone(), before).unwrap();
        assert_eq!(read(), ["\"a.example.com\""]);
        records.insert(id(2), record("\"], \u{1b}[2J"));
        assert_eq!(read().len(), 2);
        assert!(!std::fs::read(&path).unwrap().contains(&0x1b));
        records.remove(id(1));
        records.remove(id(3));
        assert_eq!(read().len(), 1);
        records.remove(id(2));
        assert!(read().is_empty());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
