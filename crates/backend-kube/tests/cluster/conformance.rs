//! The backend keeps the contracts of backends, with real pods.

use palisade_backend::conformance_tests;

use crate::support::Harness;

conformance_tests!(Harness::new().await);
