//! The contract as tests
