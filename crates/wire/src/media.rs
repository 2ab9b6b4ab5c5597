//! What a body says that it is.
//!
//! A body that says nothing is JSON. One that says something else is refused, and not
//! tried: what happens to read as JSON may have been meant otherwise, and a page of a
//! browser can send a form without asking, but no JSON. Works on the values of headers
//! alone.

use palisade_model::violation::{FieldPath, Violation, ViolationKind};

/// A language in which a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`.
    Json,
    /// `application/yaml`, or how it was called before that.
    Yaml,
}

const CONTENT_TYPE: &str = "content-type";
const CONTENT_ENCODING: &str = "content-encoding";
/// What `curl -d` says of every body.
const FORM: &str = "application/x-www-form-urlencoded";
/// How much of a value is shown.
const SHOWN_CHARS_MAX: usize = 64;

impl Media {
    /// All that a body can be.
    pub const ALL: &'static [Self] = &[Self::Json, Self::Yaml];

    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }

    /// What a body is whose headers are these, if that is one of `taken`.
    pub fn of_body<'h>(
        mut types: impl Iterator<Item = &'h [u8]>,
        mut codings: impl Iterator<Item = &'h [u8]>,
        taken: &[Self],
    ) -> Result<Self, Violation> {
        if let Some(coding) = codings.find(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            let text = "bodies are not unpacked here, so send it as it is";
            let text = format!("is {}; {text}", shown(coding));
            return Err(wrong(CONTENT_ENCODING, ViolationKind::Invalid, text));
        }
        let Some(said) = types.next() else {
            return Ok(Self::Json);
        };
        if types.any(|other| other != said) {
            let text = "is given twice, with different values; give it once";
            return Err(wrong(
                CONTENT_TYPE,
                ViolationKind::Conflict,
                text.to_owned(),
            ));
        }
        let read = Self::read(said).filter(|media| taken.contains(media));
        read.ok_or_else(|| {
            let text = not_taken(said, taken);
            wrong(CONTENT_TYPE, ViolationKind::Invalid, text)
        })
    }

    fn read(said: &[u8]) -> Option<Self> {
        let said = str::from_utf8(said).ok()?.to_ascii_lowercase();
        let (kind, parameters) = said.split_once(';').unwrap_or((&said, ""));
        // Everything else is another text than the one that is read here.
        let is_utf8 = parameters.split(';').all(|parameter| {
            let charset = parameter.trim().strip_prefix("charset=");
            charset.is_none_or(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"))
        });
        match kind.trim() {
            _ if !is_utf8 => None,
            "application/json" => Some(Self::Json),
            "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => {
                Some(Self::Yaml)
            }
            _ => None,
        }
    }
}

fn not_taken(said: &[u8], taken: &[Media]) -> String {
    let names: Vec<_> = taken.iter().map(|media| media.name()).collect();
    let names = names.join(" or ");
    let is_form = said.to_ascii_lowercase().starts_with(FORM.as_bytes());
    let hint = if is_form {
        ", as with curl --json, or -H \"content-type: application/json\" beside -d"
    } else {
        ""
    };
    let said = shown(said);
    format!("is {said}; a body here is {names}, in UTF-8, and has to say so{hint}")
}

fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    format!(
        "{:?}",
        text.chars().take(SHOWN_CHARS_MAX).collect::<String>()
    )
}

fn wrong(header: &str, kind: ViolationKind, text: String) -> Violation {
    Violation::new(FieldPath::root().key(header), kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(types: &[&str], codings: &[&str]) -> Result<Media, String> {
        let types = types.iter().map(|it| it.as_bytes());
        let codings = codings.iter().map(|it| it.as_bytes());
        Media::of_body(types, codings, Media::ALL).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn json_and_yaml_are_known_in_all_their_spellings() {
        for said in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json ; charset=utf8; x=y",
        ] {
            assert_eq!(read(&[said], &[]), Ok(Media::Json), "{said}");
        }
        for said in ["application/yaml", "text/x-yaml; charset=utf-8"] {
            assert_eq!(read(&[said], &[]), Ok(Media::Yaml), "{said}");
        }
        assert_eq!(read(&[], &["identity"]), Ok(Media::Json));
        let twice = ["application/json", "application/json"];
        assert_eq!(read(&twice, &[]), Ok(Media::Json));
    }

    #[test]
    fn what_is_something_else_is_told_what_to_say() {
        for said in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonp",
            "application/merge-patch+json",
            "",
            "json",
            "\u{fffd}",
        ] {
            let wrong = read(&[said], &[]).unwrap_err();
            assert!(wrong.starts_with("content-type is \""), "{wrong}");
            assert!(wrong.contains("application/json"), "{wrong}");
            assert_eq!(wrong.contains("curl"), said == FORM, "{wrong}");
            assert!(wrong.len() < 256, "{wrong}");
        }
        let wrong = read(&["application/json", "text/plain"], &[]).unwrap_err();
        assert!(wrong.contains("twice"), "{wrong}");
        let wrong = read(&["application/json"], &["gzip"]).unwrap_err();
        assert!(wrong.starts_with("content-encoding is \"gzip\""), "{wrong}");
    }

    #[test]
    fn what_is_not_taken_here_is_not_offered() {
        let yaml = [b"application/yaml".as_slice()].into_iter();
        let wrong = Media::of_body(yaml, std::iter::empty(), &[Media::Json]).unwrap_err();
        assert!(!wrong.description.contains("json or"), "{wrong}");
    }
}
