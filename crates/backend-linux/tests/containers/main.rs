//! The Linux backend with real containers. Needs root, crun, nft and the static
//! busybox; every test makes a backend of its own and removes it.

mod conformance;
mod full_disk;
mod hardening;
mod recovery;
mod stopping;
mod support;
