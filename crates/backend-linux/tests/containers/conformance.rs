//! The Linux backend keeps the contracts of backends, with real containers.

use palisade_backend::conformance_tests;

use crate::support::Harness;

conformance_tests!(Harness::new().await);
