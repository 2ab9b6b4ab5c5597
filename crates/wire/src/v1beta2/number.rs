//! Numbers of enumerations that this version does not know.
//!
//! They are refused and never taken for the unspecified one: whoever sends such a
//! number means something by it.

/// What is wrong with a number, and which ones there are.
pub fn unknown_number<E: Copy + Into<i32>>(
    number: i32,
    known: &[E],
    name: fn(&E) -> &'static str,
) -> String {
    let known = known
        .iter()
        .map(|known| format!("{} ({})", name(known), (*known).into()))
        .collect::<Vec<_>>();
    format!(
        "is {number}, which has no meaning; allowed are {}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1beta2::RunnerView;

    #[test]
    fn an_unknown_number_is_told_with_those_that_there_are() {
        let views = [RunnerView::Basic, RunnerView::Full];
        assert_eq!(
            unknown_number(7, &views, RunnerView::as_str_name),
            "is 7, which has no meaning; allowed are RUNNER_VIEW_BASIC (1), RUNNER_VIEW_FULL (2)"
        );
    }
}
