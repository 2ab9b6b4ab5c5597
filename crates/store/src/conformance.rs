//! The contracts of this crate as tests, a sentence each.
//!
//! An implementation brings a [`Harness`] and calls
//! [`conformance_tests!`](crate::conformance_tests); a test that fails names the
//! sentence that is broken. Waiting is always for a state and always ends.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Store;

pub mod changes;
pub mod fixture;
pub mod organizations;
pub mod profile_references;
pub mod profiles;
pub mod quotas;
pub mod races;
pub mod round_trip;
pub mod runner_bindings;
pub mod runners;
pub mod sandbox_lists;
pub mod sandbox_status;
pub mod sandboxes;
pub mod secrets;
pub mod snapshots;
pub mod tenancy;
pub mod tokens;
pub mod whole;

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
            a_change_from_another_revision_is_refused,
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
            a_change_that_was_judged_against_other_runners_is_refused,
            a_bound_profile_is_not_deleted,
            profiles_are_listed_in_the_order_of_their_names,
        );
        $crate::conformance_tests!(@profile_references $harness;
            a_reference_finds_the_id_before_the_name,
            a_reference_by_name_alone_finds_the_name,
        );
        $crate::conformance_tests!(@runners $harness;
            a_runner_id_and_a_cluster_have_one_runner,
            id_and_cluster_are_free_once_the_runner_is_deleted,
            a_cluster_keeps_the_id_that_it_got_first,
            a_known_cluster_can_be_chosen_by_its_id,
            a_runner_is_found_by_uid_id_and_cluster,
            every_write_of_the_configuration_makes_the_next_revision,
            a_runner_write_that_expects_another_revision_is_refused,
            a_runner_is_marked_for_deletion_once,
            the_earliest_end_of_a_drain_holds,
            a_drain_is_taken_back_until_its_end_has_come,
            a_runner_that_is_not_marked_is_not_finished,
            a_runner_being_deleted_does_not_change,
            a_runner_with_live_sandboxes_is_not_deleted,
            deleting_a_runner_frees_its_profiles,
            runners_and_clusters_are_listed_in_order,
        );
        $crate::conformance_tests!(@runner_bindings $harness;
            the_order_of_bindings_is_kept,
            bindings_of_missing_profiles_change_nothing_and_are_all_told,
            bindings_that_answer_to_one_name_are_refused,
            bindings_of_another_organization_s_profile_are_refused,
            bindings_are_replaced_as_a_whole,
            bindings_that_were_judged_against_older_profiles_are_refused,
        );
        $crate::conformance_tests!(@round_trip $harness;
            profiles_read_back_as_they_were_written,
            runners_read_back_as_they_were_written,
            sandboxes_read_back_as_they_were_added,
            launches_read_back_with_their_files,
            statuses_read_back_as_they_became,
        );
        $crate::conformance_tests!(@sandboxes $harness;
            a_sandbox_is_added_on_a_basis_that_stands,
            the_standing_of_a_sandbox_is_that_of_its_record,
            a_stale_decision_is_refused,
            nothing_is_added_on_a_runner_being_deleted,
            nothing_is_added_under_a_profile_that_is_not_bound,
            a_sandbox_id_is_given_out_once,
            files_are_gone_once_the_sandbox_is_over,
            purging_forgets_what_ended_before,
            purging_takes_at_most_as_many_as_asked_for,
        );
        $crate::conformance_tests!(@snapshots $harness;
            a_snapshot_reads_back_as_it_became,
            nothing_of_another_organization_is_seen_or_changed,
            a_key_names_one_snapshot_of_an_organization,
            one_snapshot_at_a_time_is_taken_before_the_end_of_a_sandbox,
            snapshots_beyond_a_limit_are_refused,
            bytes_beyond_a_limit_are_refused,
            the_quota_of_snapshots_stands_before_the_limits_of_the_server,
            the_newest_snapshots_are_listed_first,
            content_is_removed_with_the_last_snapshot_that_names_it,
            a_snapshot_that_is_only_begun_goes_at_once,
            finishing_leaves_what_is_not_being_deleted,
            a_bucket_is_kept_for_each_organization,
            snapshots_that_failed_count_for_nothing_and_the_newest_are_kept,
            content_of_a_snapshot_that_failed_is_held_by_nothing,
        );
        $crate::conformance_tests!(@quotas $harness;
            a_sandbox_beyond_a_limit_is_refused_and_says_which,
            a_user_is_limited_apart_from_others,
            what_ends_makes_room_and_what_was_started_still_counts,
            starts_are_counted_within_a_minute_and_say_when_there_is_room,
            of_many_starts_as_many_win_as_there_is_room_for,
            a_count_survives_a_crash,
        );
        $crate::conformance_tests!(@sandbox_status $harness;
            changes_of_status_are_applied_to_the_present_one,
            an_observation_counts_only_from_its_runner,
            changes_in_one_call_are_applied_in_order,
            an_unknown_sandbox_does_not_hinder_the_others,
            one_change_of_what_is_not_there_finds_nothing,
            concurrent_changes_of_one_status_are_not_lost,
        );
        $crate::conformance_tests!(@sandbox_lists $harness;
            a_list_holds_live_sandboxes_the_newest_first,
            those_that_are_over_are_listed_when_asked_for,
            a_filter_by_tags_passes_what_has_all_of_them,
            the_other_filters_pass_what_matches_any_term,
            a_profile_is_found_by_every_name_that_it_has,
            filters_hold_together,
            a_filter_with_too_many_terms_is_refused,
            the_largest_filter_is_answered,
            the_sandboxes_of_a_runner_are_the_live_ones,
            occupancy_counts_the_live_ones_and_names_the_newest,
        );
        $crate::conformance_tests!(@secrets $harness;
            a_secret_store_belongs_to_an_organization_that_exists,
            a_store_name_is_taken_once_and_free_once_it_is_deleted,
            stores_and_secrets_are_bounded,
            a_secret_that_is_put_again_replaces_the_first,
            a_deleted_secret_store_takes_its_secrets_with_it,
            stores_and_secrets_are_listed_in_order,
            a_sealed_value_is_replaced_only_as_it_was,
            secrets_of_another_organization_do_not_exist,
            secrets_are_there_after_a_crash,
        );
        $crate::conformance_tests!(@changes $harness;
            every_change_is_in_the_feed,
            what_was_refused_or_changed_nothing_is_not_in_the_feed,
            the_feed_is_followed_from_any_place_in_order,
            a_place_that_was_pruned_is_refused,
            the_feed_of_an_organization_is_moved_by_nobody_else,
            the_feed_of_an_organization_has_a_gap_only_where_its_own_was_pruned,
            a_place_that_was_never_handed_out_is_refused,
            pruning_keeps_the_newest,
            waiting_wakes_at_once_for_a_change_of_this_process,
            waiting_wakes_for_a_change_of_another_process,
            waiting_ends_at_its_limit,
            waiting_behind_a_change_that_is_there_returns_at_once,
        );
        $crate::conformance_tests!(@tenancy $harness;
            nothing_of_another_organization_is_found,
            nothing_of_another_organization_is_changed,
            nothing_of_another_organization_is_listed,
            two_organizations_use_the_same_names,
        );
        $crate::conformance_tests!(@whole $harness;
            everything_is_there_after_a_crash,
            a_call_that_was_dropped_took_effect_whole_or_not_at_all,
            a_read_sees_what_another_handle_wrote_before,
            lists_in_pages_show_what_stays_exactly_once,
        );
        $crate::conformance_tests!(@races $harness;
            of_many_creators_of_one_name_one_wins,
            of_many_runners_for_one_cluster_one_wins,
            of_many_updates_from_one_revision_one_wins,
            of_many_changes_of_a_quota_none_is_lost,
            binding_and_deleting_a_profile_exclude_each_other,
            an_update_governs_every_sandbox_added_after_it,
            a_runner_and_its_last_sandbox_exclude_each_other,
            the_feed_skips_nothing_under_concurrent_writers,
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
