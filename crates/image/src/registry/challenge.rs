//! What a registry wants to see before it lets us read (RFC 9110, 11.6.1).
//!
//! Pure. Parameters that are not needed are passed over: above all the scope,
//! as we ask for what we want and not for what the server would like us to.

/// A way to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a name and a password.
    Basic,
    /// With a token from somewhere else.
    Bearer {
        /// The address that gives tokens.
        realm: String,
        /// The name of the registry at that address.
        service: Option<String>,
    },
}

/// Bytes of a header that are looked at.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// The challenges in a `WWW-Authenticate` header that we can answer.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    if header.len() > HEADER_BYTES_MAX {
        return Vec::new();
    }
    let mut rest = header;
    let mut found: Vec<Raw> = Vec::new();
    while let Some(word) = word(&mut rest) {
        if let Some(value) = value(&mut rest) {
            if let Some(challenge) = found.last_mut() {
                challenge
                    .parameters
                    .push((word.to_ascii_lowercase(), value));
            }
        } else {
            found.push(Raw {
                scheme: word.to_ascii_lowercase(),
                parameters: Vec::new(),
            });
        }
    }
    found.into_iter().filter_map(Raw::known).collect()
}

struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn known(mut self) -> Option<Challenge> {
        match self.scheme.as_str() {
            "basic" => Some(Challenge::Basic),
            "bearer" => Some(Challenge::Bearer {
                realm: self.take("realm")?,
                service: self.take("service"),
            }),
            _ => None,
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.parameters.iter().position(|(key, _)| key == name)?;
        Some(self.parameters.swap_remove(place).1)
    }
}

/// The next word, with what divides it from the one before.
fn word<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let is_divider = |c: char| c == ',' || c == '=' || c == '"' || c.is_whitespace();
    let text = rest.trim_start_matches(is_divider);
    let end = text.find(is_divider).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// The value behind a word, if it has one.
fn value(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start().strip_prefix('=')?.trim_start();
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, after) = unquote(quoted);
        *rest = after;
        return Some(value);
    }
    let is_end = |c: char| c == ',' || c.is_whitespace();
    let end = text.find(is_end).unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    *rest = after;
    Some(value.to_owned())
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &text[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    #[test]
    fn challenges_of_real_registries_are_understood() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull""#,
                vec![bearer(
                    "https://auth.example/token",
                    Some("registry.example"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"Negotiate, Basic realm="a, b=\"c\"" , BEARER Realm = "https://x" "#,
                vec![Challenge::Basic, bearer("https://x", None)],
            ),
            (
                "Bearer realm=https://x/y,service=z",
                vec![bearer("https://x/y", Some("z"))],
            ),
            ("Bearer service=z", vec![]),
            ("Digest realm=\"x\"", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    #[test]
    fn a_giant_header_says_nothing() {
        let header = format!("Basic realm=\"{}\"", "x".repeat(HEADER_BYTES_MAX));
        assert_eq!(parse(&header), []);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_parser_panic_or_hang(header in any::<String>()) {
            parse(&header);
        }

        #[test]
        fn what_was_quoted_comes_out_as_it_was(realm in "[ -~]{0,40}", service in "[ -~]{0,40}") {
            let quote = |text: &str| text.replace('\\', r"\\").replace('"', "\\\"");
            let header = format!(
                "Bearer realm=\"{}\", service=\"{}\"", quote(&realm), quote(&service)
            );
            prop_assert_eq!(parse(&header), vec![bearer(&realm, Some(&service))]);
        }
    }
}
