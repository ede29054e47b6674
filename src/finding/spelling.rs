//! Words in messages: which known one a misspelt one means, all of them in a sentence, how many of a thing.

/// The known word that a misspelt one most likely means.
pub fn nearest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let word = word.to_lowercase();
    let distance = |name: &&'n str| edit_distance(&word, &name.to_lowercase());
    let best = known.iter().copied().min_by_key(distance)?;
    (distance(&best) <= 1 + best.len() / 4).then_some(best)
}

/// How many characters to change, add or remove to make `b` of `a`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == *y { diagonal } else { 1 + diagonal.min(above).min(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// `a, b or c`.
pub fn any_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// `1 error`, `2 errors`: what a plural needs an `s` for.
pub fn counted(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_meant_and_a_far_one_not() {
        let known = ["ClusterPolicy", "Policy", "PolicyException"];
        assert_eq!(nearest("ClusterPolicyy", &known), Some("ClusterPolicy"));
        assert_eq!(nearest("Polcy", &known), Some("Policy"));
        assert_eq!(nearest("Deployment", &known), None);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "error")), ["0 errors", "1 error", "2 errors"]);
    }
}
