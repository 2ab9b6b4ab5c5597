//! A backend for tests
