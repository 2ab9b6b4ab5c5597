//! The contracts of this crate as tests, a sentence each.
//!
//! An implementation brings a [`Harness`] and calls
//! [`conformance_tests!`](crate::conformance_tests); a test that fails names the
//! sentence that is broken. Waiting is always for a state and always ends.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Store;

pub mod fixture;
pub mod organizations;
pub mod profile_references;
pub mod profiles;
pub mod tokens;

/// An implementation under test, with a database of its own that is empty.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// The same database as another process would open it: the two handles
    /// share nothing in memory.
    async fn second_handle(&self) -> Arc<dyn Store>;

    /// Drops every handle without any farewell and opens the database again.
    async fn crash_and_reopen(&mut self);
}

/// Makes a test of every sentence, for the harness that the expression makes.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr) => {
        $crate::conformance_tests!(@organizations $harness;
            an_organization_id_is_given_out_once,
            a_changed_quota_is_what_the_next_read_returns,
            organizations_are_listed_in_the_order_of_ids,
            what_is_not_there_is_not_found,
        );
        $crate::conformance_tests!(@tokens $harness;
            a_token_belongs_to_an_organization_that_exists,
            a_token_id_is_given_out_once,
            a_token_is_found_by_its_id_whatever_its_kind,
            a_revoked_token_is_not_found_any_more,
            tokens_are_listed_in_the_order_of_ids,
        );
        $crate::conformance_tests!(@profiles $harness;
            a_display_name_is_taken_by_one_profile_of_an_organization,
            a_display_name_is_free_once_its_profile_is_deleted,
            a_profile_id_is_not_given_out_again,
            a_profile_needs_an_organization,
            every_write_makes_the_next_revision,
            revisions_stay_after_the_profile_is_deleted,
            an_update_changes_the_fields_that_it_names,
            a_write_that_expects_another_revision_is_refused,
            a_bound_profile_is_not_deleted,
            profiles_are_listed_in_the_order_of_their_names,
        );
        $crate::conformance_tests!(@profile_references $harness;
            a_reference_finds_the_id_before_the_name,
            a_reference_by_name_alone_finds_the_name,
        );
    };
    (@$module:ident $harness:expr; $($name:ident,)*) => {
        mod $module {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut harness = $harness;
                $crate::conformance::$module::$name(&mut harness).await;
            })*
        }
    };
}
