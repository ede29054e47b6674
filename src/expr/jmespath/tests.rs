//! What must hold for any text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn an_explosion_is_cut_off() {
    let list = json!((0..200).collect::<Vec<_>>());
    let nested = Expression::compile("map(&map(&map(&map(&map(&@, [1,2,3,4]), [1,2,3,4]), @), @), @)");
    assert!(nested.is_err(), "numbers are no expressions");
    let text = format!("{}`1`{}", "not_null(".repeat(100), ")".repeat(100));
    assert!(Expression::compile(&text).is_ok());
    assert!(Expression::compile(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    assert!(Expression::compile(&vec!["a"; 5000].join(".")).is_err());
    let wide = Expression::compile(
        "[@,@,@,@,@,@,@,@][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][]",
    );
    assert_eq!(wide.unwrap().search(&list), Err(EvalError::Limit));
    for double in [
        "{a: @, b: @}",
        "[@, @]",
        "[{a: @}, {b: @}]",
        "merge({a: @}, {b: @})",
        "join('', [to_string(@), 'x', to_string(@)])",
    ] {
        let text = vec![double; 50].join(" | ");
        let ends = [Ok(()), Err(EvalError::Limit)];
        let found = Expression::compile(&text).unwrap().search(&list).map(|_| ());
        assert!(ends[1..].contains(&found), "{double}: {found:?}");
    }
    let doubling = (0..60).fold("'ab'".to_owned(), |inner, _| format!("replace_all({inner}, 'a', 'aab')"));
    assert!(Expression::compile(&doubling).unwrap().search(&list).is_err() || doubling.len() < 10_000);
}

#[test]
fn all_functions_are_there() {
    assert_eq!(function_names().count(), 25 + 51, "25 of the standard, and 51 with their own sum");
    let mut names: Vec<&str> = function_names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 76);
}

#[test]
fn errors_say_where() {
    for (text, offset) in [("a.b ||", 6), ("a[?b==`x`]", 6), ("a b", 2), ("foo(", 4), ("{a 1}", 3)] {
        assert_eq!(Expression::compile(text).unwrap_err().offset, offset, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}]}));
        }
    }

    #[test]
    fn no_plausible_text_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "b", ".", "[", "]", "[?", "[]", "*", "(", ")", "|", "||", "&&", "&", "!", "==", "<", "@", "`1`",
                "`{}`", "'x'", "\"q\"", ",", ":", "1", "-1", "{", "}", " ", "length(", "sort_by(", "join(", "random(",
                "time_add(", "add(", "'1Gi'", "'5m'", "truncate(", "to_string(", "items(", "split(", "`null`", "`[]`",
            ]),
            0..14,
        )
    ) {
        if let Ok(expression) = Expression::compile(&parts.concat()) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}], "b": {"a": null}}));
        }
    }
}
