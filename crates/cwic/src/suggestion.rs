//! The names that somebody may have meant.

/// How alike two names must be to be taken for one another.
const ALIKE_MIN: f64 = 0.8;

/// The most names that are suggested.
const NAMES_MAX: usize = 3;

/// The names that are most like the text, the closest first.
pub(crate) fn closest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let text = text.to_lowercase();
    let alike = |name: &str| strsim::jaro_winkler(&text, &name.to_lowercase());
    let mut found: Vec<_> = names.map(|name| (alike(name), name)).collect();
    found.retain(|(alike, _)| *alike >= ALIKE_MIN);
    found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let names = found.into_iter().map(|(_, name)| name);
    names.take(NAMES_MAX).collect()
}

/// A question that names them; `None` if nothing is close.
pub(crate) fn question<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    match closest(text, names).as_slice() {
        [] => None,
        close => Some(format!("did you mean {}?", close.join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_close_is_suggested_and_nothing_else() {
        let names = ["agents", "gpu-large", "gpu", "default"];
        let close = |text| closest(text, names.into_iter());
        assert_eq!(close("agnets"), ["agents"]);
        assert_eq!(close("Default"), ["default"]);
        assert!(close("xyz").is_empty());
        assert_eq!(question("xyz", names.into_iter()), None);
    }
}
