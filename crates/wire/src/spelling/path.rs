//! Paths of fields as text, as violations print them.

use palisade_model::violation::FieldPath;

/// The text is not the path of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a path of a field, such as spec.node_selector[\"gpu\"] or items[2]")]
pub struct BadPath;

/// Reads what the path of a field prints.
pub fn parse_path(text: &str) -> Result<FieldPath, BadPath> {
    let mut path = FieldPath::root();
    let mut rest = text;
    while !rest.is_empty() {
        (path, rest) = match rest.strip_prefix('[') {
            Some(inside) => in_brackets(&path, inside)?,
            None => plain_key(&path, rest)?,
        };
        if let Some(behind) = rest.strip_prefix('.') {
            if behind.is_empty() || behind.starts_with(['.', '[']) {
                return Err(BadPath);
            }
            rest = behind;
        } else if !rest.is_empty() && !rest.starts_with('[') {
            return Err(BadPath);
        }
    }
    Ok(path)
}

fn plain_key<'a>(path: &FieldPath, text: &'a str) -> Result<(FieldPath, &'a str), BadPath> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    if key.is_empty() {
        return Err(BadPath);
    }
    Ok((path.key(key), rest))
}

/// `2]` or `"a.b"]`, where the quoted form is that of a string in Rust.
fn in_brackets<'a>(path: &FieldPath, text: &'a str) -> Result<(FieldPath, &'a str), BadPath> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, rest) = quoted_key(quoted)?;
        return Ok((path.key(key), rest.strip_prefix(']').ok_or(BadPath)?));
    }
    let (digits, rest) = text.split_once(']').ok_or(BadPath)?;
    let index = digits.parse().map_err(|_| BadPath)?;
    Ok((path.index(index), rest))
}

fn quoted_key(text: &str) -> Result<(String, &str), BadPath> {
    let mut key = String::new();
    let mut rest = text.chars();
    loop {
        match rest.next().ok_or(BadPath)? {
            '"' => return Ok((key, rest.as_str())),
            '\\' => key.push(escaped(&mut rest)?),
            c => key.push(c),
        }
    }
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Result<char, BadPath> {
    Ok(match rest.next().ok_or(BadPath)? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0' => '\0',
        'u' => {
            let (digits, behind) = rest
                .as_str()
                .strip_prefix('{')
                .and_then(|text| text.split_once('}'))
                .ok_or(BadPath)?;
            *rest = behind.chars();
            u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32)
                .ok_or(BadPath)?
        }
        c @ ('"' | '\'' | '\\') => c,
        _ => return Err(BadPath),
    })
}
