//! Anchors: the operators around a key of a pattern, `(key)`, `=(key)`, `^(key)`, `X(key)`, `<(key)`, `+(key)`.

/// The operator around a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Anchor {
    /// `(key)`: the rule is about objects where this matches.
    Condition,
    /// `=(key)`: if the key is there, it must match.
    Equality,
    /// `^(key)`: some element of the list must match.
    Existence,
    /// `X(key)`: the key must not be there.
    Negation,
    /// `<(key)`: if the key is there and does not match, the rule is not about this object.
    Global,
    /// `+(key)`: set it unless it is there (mutation).
    AddIfAbsent,
}

/// A key with its anchor.
pub(crate) fn parse(key: &str) -> Option<(Anchor, &str)> {
    let (anchor, rest) = match key.as_bytes().first()? {
        b'(' => (Anchor::Condition, key),
        b'=' => (Anchor::Equality, &key[1..]),
        b'^' => (Anchor::Existence, &key[1..]),
        b'X' => (Anchor::Negation, &key[1..]),
        b'<' => (Anchor::Global, &key[1..]),
        b'+' => (Anchor::AddIfAbsent, &key[1..]),
        _ => return None,
    };
    let inner = rest.strip_prefix('(')?.strip_suffix(')')?;
    (!inner.trim().is_empty()).then(|| (anchor, inner.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_is_read() {
        for key in ["(a)", "=(a)", "^(a)", "X(a)", "<(a)", "+(a)"] {
            assert_eq!(parse(key).unwrap().1, "a");
        }
        for key in ["a", "X", "", "()", "=a", "(a", "é(a)"] {
            assert_eq!(parse(key), None, "{key}");
        }
    }
}
