//! `*` matches any run of characters, `?` exactly one.

/// Whether a text matches a pattern. The empty pattern matches only the empty text.
pub fn matches(pattern: &str, text: &str) -> bool {
    if !contains(pattern) {
        return pattern == text;
    }
    let (wanted, given) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` took one more character.
    let mut retry: Option<(usize, usize)> = None;
    while t < given.len() {
        match wanted.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((p, t));
            }
            Some(b'?') => {
                p += 1;
                t += width(given[t]);
            }
            Some(&byte) if byte == given[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    t = from + width(given[from]);
                    retry = Some((after_star, t));
                    p = after_star;
                }
                None => return false,
            },
        }
    }
    wanted[p..].iter().all(|byte| *byte == b'*')
}

/// How many bytes a character has, by its first.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// Whether a text is a pattern, not just a name.
pub fn contains(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*", "a", true),
            ("*b*c", "abxc", true),
            ("*b*c", "abx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("*é?", "aéüx", false),
            ("*é??", "aéüx", true),
            ("*a", "é", false),
            ("*:latest", "nginx:latest", true),
            ("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
