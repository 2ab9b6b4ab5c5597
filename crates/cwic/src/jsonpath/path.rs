//! From the paths of `kubectl` to those of RFC 9535.

/// The standard's spelling of a path; says what is wrong with one that has none.
pub(crate) fn translate(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let mut rest = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut path = "$".to_owned();
    if rest.starts_with(|c: char| !matches!(c, '.' | '[')) {
        rest = name(rest, &mut path)?;
    }
    while !rest.is_empty() {
        if let Some(below) = rest.strip_prefix("..") {
            path.push_str("..");
            rest = name(below, &mut path)?;
        } else if let Some(below) = rest.strip_prefix('.') {
            // A lone dot is the whole.
            rest = if below.is_empty() {
                below
            } else {
                name(below, &mut path)?
            };
        } else if rest.starts_with('[') {
            let len = bracketed(rest).ok_or("a bracket is not closed")?;
            path.push_str(&rest[..len]);
            rest = &rest[len..];
        } else {
            return Err("a dot or a bracket is needed before the next name");
        }
    }
    Ok(path)
}

/// Takes a name, and writes it in brackets, where any character may be in it.
fn name<'a>(text: &'a str, path: &mut String) -> Result<&'a str, &'static str> {
    if let Some(rest) = text.strip_prefix('*') {
        path.push_str("[*]");
        return Ok(rest);
    }
    if text.starts_with('[') {
        return Ok(text);
    }
    let mut taken = String::new();
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((place, c)) = chars.next() {
        match c {
            '\\' => taken.push(chars.next().ok_or("a backslash ends the path")?.1),
            '.' | '[' => {
                end = place;
                break;
            }
            c => taken.push(c),
        }
    }
    if taken.is_empty() {
        return Err("a name is missing");
    }
    let quoted = taken.replace('\\', "\\\\").replace('\'', "\\'");
    path.extend(["['", &quoted, "']"]);
    Ok(&text[end..])
}

/// How long the part in brackets is that the text begins with.
fn bracketed(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut is_escaped = false;
    for (place, c) in text.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(place + 1);
                }
            }
            (Some(_) | None, _) => {}
        }
    }
    None
}
