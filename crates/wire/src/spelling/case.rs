//! The two cases in which a field can be named.

/// The name in snake case: `containerImage` becomes `container_image`.
pub(crate) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cases_of_a_name_are_one_in_snake_case() {
        assert_eq!(snake("containerImage"), "container_image");
        assert_eq!(snake("container_image"), "container_image");
        assert_eq!(snake("Container_image"), "_container_image");
        assert_ne!(snake("container_Image"), "container_image");
    }
}
